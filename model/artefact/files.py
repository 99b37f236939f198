"""The files of a model artefact: trees in UBJSON and `manifest.json`; no pickle.

`model.ubj` and `fallback.ubj` are always there, `distilled.ubj` if the manifest has variants.
"""

import errno
import hashlib
import os
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

import msgspec
import numpy as np

from fraudsim.errors import FraudsimError
from fraudsim.settings import ModelKind
from fraudsim.whole_files import whole_folder
from model.artefact.cascade import Cascade
from model.artefact.manifest import (
    CascadeNumbers,
    Manifest,
    Sample,
    Variants,
    Versions,
    check_seal,
    from_json,
    seal,
    to_json,
)
from model.artefact.model import Model
from model.forest.forest import Forest, Matrix, booster_of
from stream_features.vector import SIZE, as_vector

MODEL_FILE: Final = "model.ubj"
FALLBACK_FILE: Final = "fallback.ubj"
DISTILLED_FILE: Final = "distilled.ubj"
MANIFEST_FILE: Final = "manifest.json"
FILES: Final = (MODEL_FILE, FALLBACK_FILE, DISTILLED_FILE, MANIFEST_FILE)
SAMPLE_TOLERANCE: Final = 1e-6
"""Largest error of a sample's score under another version of XGBoost."""


def current_versions() -> Versions:
    """Versions of the programs that could change a model or a feature."""
    import platform
    from importlib.metadata import version

    from fraudsim import __version__

    return Versions(
        python=platform.python_version(),
        xgboost=version("xgboost"),
        numpy=version("numpy"),
        numba=version("numba"),
        fraudsim=__version__,
    )


def sha256_of(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def write_model(
    directory: Path, ubj: bytes, fallback_ubj: bytes, manifest: Manifest, distilled_ubj: bytes | None = None
) -> Manifest:
    """Write an artefact. The directory is created or replaced atomically. Returns the sealed manifest.

    An existing directory is replaced only if it holds nothing but a model.

    Raises:
        FraudsimError: the directory cannot be written, or holds other files.
    """
    sealed_manifest = seal(manifest)
    directory = directory.absolute()
    files = {MODEL_FILE: ubj, FALLBACK_FILE: fallback_ubj, MANIFEST_FILE: to_json(sealed_manifest)}
    if distilled_ubj is not None:
        files[DISTILLED_FILE] = distilled_ubj
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with whole_folder(directory, replace=True) as folder:
            for name, content in files.items():
                (folder / name).write_bytes(content)
            _check_replaceable(directory)
    except OSError as error:
        raise FraudsimError(f"model {error.filename or directory}: {error.strerror or error}") from None
    return sealed_manifest


def check_writable(directory: Path) -> None:
    """Check before the work of training that an artefact can be written; see `write_model`.

    Raises:
        FraudsimError: it cannot.
    """
    directory = directory.absolute()
    try:
        _check_replaceable(directory)
        directory.parent.mkdir(parents=True, exist_ok=True)
        if directory.exists() and not directory.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(directory))
        with TemporaryFile(dir=directory.parent):
            pass
    except OSError as error:
        raise FraudsimError(f"model {error.filename or directory}: {error.strerror or error}") from None


def _check_replaceable(directory: Path) -> None:
    """Raise FraudsimError if a directory holds more than a model."""
    others = {path.name for path in directory.iterdir()} - {*FILES} if directory.is_dir() else set()
    if others:
        raise FraudsimError(
            f"model {directory}: holds {min(others)!r}, not only a model; choose another --out"
        )


def read_manifest(directory: Path) -> Manifest:
    """The manifest, checked against this program but not against the trees.

    Raises:
        FraudsimError: see `manifest.from_json`; or the file is missing.
    """
    path = directory / MANIFEST_FILE
    manifest = from_json(_read(path), str(path))
    check_seal(manifest, str(path))
    return manifest


def load_model(directory: Path, kind: ModelKind = "full") -> Model:
    """Open an artefact and check that all of it scores as it did when it was trained.

    Args:
        kind: which of its models is to serve. All of them are checked.

    Raises:
        FraudsimError: a file is missing, was truncated or changed, or is for other features, or the artefact
            has no model of that kind; one line that names the file and the field.
    """
    path = directory / MANIFEST_FILE
    manifest = from_json(_read(path), str(path))
    ubj = _read_trees(directory / MODEL_FILE, manifest.model_sha256, "model_sha256")
    fallback_sha256 = manifest.fallback.model_sha256
    fallback_ubj = _read_trees(directory / FALLBACK_FILE, fallback_sha256, "fallback.model_sha256")
    variants, distilled_ubj = manifest.variants, None
    if variants is not msgspec.UNSET:
        distilled_sha256 = variants.distilled.model_sha256
        distilled_ubj = _read_trees(directory / DISTILLED_FILE, distilled_sha256, "distilled.model_sha256")
        _check_lengths(variants.cascade, str(path))
    elif kind != "full":
        raise FraudsimError(
            f"setting FRAUDSIM_MODEL_KIND={kind}: model {directory} has no {kind} model; "
            f"`fraudsim train --variants --out {directory}` makes one"
        )
    model = Model(ubj, fallback_ubj, manifest, distilled_ubj, kind)
    trained_with = manifest.versions.xgboost
    _check_sample(model, manifest.sample, trained_with, f"{path}: sample")
    _check_sample(model.fallback, manifest.fallback.sample, trained_with, f"{path}: fallback.sample")
    if variants is not msgspec.UNSET:
        for name, sample in _samples(variants):
            _check_sample(model.scorer(name), sample, trained_with, f"{path}: variants.{name}.sample")
    check_seal(manifest, str(path))
    return model


def _samples(variants: Variants) -> tuple[tuple[ModelKind, Sample], ...]:
    return ("cascade", variants.cascade.sample), ("distilled", variants.distilled.sample)


def _check_lengths(cascade: CascadeNumbers, where: str) -> None:
    for field in ("weight", "missing"):
        count = len(getattr(cascade, field))
        if count != SIZE:
            raise FraudsimError(
                f"model {where}: variants.cascade.{field} has {count} numbers for {SIZE} features; "
                "train a model with this version of fraudsim"
            )


def _read_trees(path: Path, expected_sha256: str, field: str) -> bytes:
    ubj = _read(path)
    if sha256_of(ubj) != expected_sha256:
        raise FraudsimError(
            f"model {path}: its SHA-256 is {sha256_of(ubj)[:12]}…, the manifest's {field} is "
            f"{expected_sha256[:12]}…; the file was cut or changed, train or copy it again"
        )
    return ubj


def sample_scores(ubj: bytes, rows: Matrix) -> list[float]:
    """XGBoost's scores of a sample, with which `load_model` compares."""
    return [float(score) for score in booster_of(ubj).inplace_predict(rows)]


def _check_sample(scorer: Forest | Cascade, sample: Sample, trained_with: str, where: str) -> None:
    if len(sample.rows) != len(sample.scores) or any(len(row) != SIZE for row in sample.rows):
        raise FraudsimError(f"model {where}: {len(sample.rows)} rows do not match its scores or features")
    if not sample.rows:
        raise FraudsimError(f"model {where}: it has no rows")
    rows = np.stack([as_vector(row) for row in sample.rows])
    if isinstance(scorer, Forest):
        scorer.check_predictor(rows)
        scorer.check_explainer(rows)
    scores = scorer.predict(rows)
    expected = np.array(sample.scores, dtype=np.float64)
    # The logarithms of a cascade's first stage depend on the machine.
    exact = isinstance(scorer, Forest) and trained_with == current_versions().xgboost
    error = np.abs(scores.astype(np.float64) - expected)
    wrong = np.flatnonzero(~(error <= (0.0 if exact else SAMPLE_TOLERANCE)))
    if wrong.size:
        i = int(wrong[0])
        raise FraudsimError(
            f"model {where} row {i} scores {float(scores[i])!r} but scores[{i}]={sample.scores[i]!r} "
            f"(trained with xgboost {trained_with}); train or copy the model again"
        )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FraudsimError(
            f"model {path}: {error.strerror}; `fraudsim train --out {path.parent}` makes one"
        ) from None
