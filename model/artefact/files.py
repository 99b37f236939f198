"""The model on disk and in the scorer: trees in UBJSON, `manifest.json`; no pickle.

`model.ubj` and `fallback.ubj` are always there, `distilled.ubj` where the manifest has variants.
"""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from fraudsim.errors import FraudsimError
from fraudsim.settings import ModelKind
from model.artefact.cascade import Cascade
from model.artefact.first_stage import FirstStage
from model.artefact.manifest import (
    CascadeNumbers,
    Manifest,
    Sample,
    Variants,
    Versions,
    check_seal,
    from_json,
    sealed,
    to_json,
)
from model.forest.forest import Forest, Matrix, booster_of
from stream_features.vector import SIZE, as_vector

MODEL_FILE: Final = "model.ubj"
FALLBACK_FILE: Final = "fallback.ubj"
DISTILLED_FILE: Final = "distilled.ubj"
MANIFEST_FILE: Final = "manifest.json"
FILES: Final = (MODEL_FILE, FALLBACK_FILE, DISTILLED_FILE, MANIFEST_FILE)
SAMPLE_TOLERANCE: Final = 1e-6
"""Largest difference of a sample's score under another version of XGBoost."""


class Model(Forest):
    """A model that has passed every check of `load_model`: the champion, its fallback, and others."""

    def __init__(
        self,
        ubj: bytes,
        fallback_ubj: bytes,
        manifest: Manifest,
        distilled_ubj: bytes | None = None,
        kind: ModelKind = "full",
    ) -> None:
        super().__init__(ubj)
        self.manifest = manifest
        self.fallback = Forest(fallback_ubj)
        """Scores on what the transaction alone says, where the state cannot be read."""
        self.kind = kind
        self.kinds: tuple[ModelKind, ...] = ("full",)
        """Those that there are."""
        self.thresholds = manifest.thresholds
        """Of the kind that serves; so are the metrics."""
        self.metrics = manifest.metrics
        if manifest.variants is not msgspec.UNSET and distilled_ubj is not None:
            numbers, distilled = manifest.variants.cascade, manifest.variants.distilled
            self.kinds = ("full", "cascade", "distilled")
            self.distilled_ubj = distilled_ubj
            self._distilled = Forest(distilled_ubj)
            self._first = FirstStage.of(numbers.weight, numbers.missing, numbers.bias)
            self._limit = numbers.limit
            if kind == "distilled":
                self.thresholds, self.metrics = distilled.thresholds, distilled.metrics
            elif kind == "cascade":
                self.metrics = numbers.metrics

    @property
    def version(self) -> str:
        return self.manifest.version

    @property
    def serving(self) -> Forest | Cascade:
        """What scores and explains where the state can be read."""
        return self.scorer(self.kind)

    def scorer(self, kind: ModelKind) -> Forest | Cascade:
        """One of `kinds`."""
        if (
            kind == "cascade"
        ):  # made anew, since one that is kept would make a cycle, which reloads would leave
            return Cascade(self._first, self._limit, self)
        return self._distilled if kind == "distilled" else self

    @property
    def variant(self) -> str:
        """What a decision says has made it."""
        return "champion" if self.kind == "full" else self.kind


def current_versions() -> Versions:
    """Of what could change a model or a feature."""
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
    """Write an artefact; the directory appears, or is replaced, whole. Returns the sealed manifest.

    A directory in the way is replaced only if it holds nothing but a model.

    Raises:
        FraudsimError: the place cannot be written, or holds other files.
    """
    final = sealed(manifest)
    directory = directory.absolute()
    fresh: Path | None = None
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
        (fresh / MODEL_FILE).write_bytes(ubj)
        (fresh / FALLBACK_FILE).write_bytes(fallback_ubj)
        if distilled_ubj is not None:
            (fresh / DISTILLED_FILE).write_bytes(distilled_ubj)
        (fresh / MANIFEST_FILE).write_bytes(to_json(final))
        fresh.chmod(0o755)
        _put_in_place(fresh, directory)
    except OSError as error:
        raise FraudsimError(f"model {error.filename or directory}: {error.strerror or error}") from None
    finally:
        if fresh is not None:
            shutil.rmtree(fresh, ignore_errors=True)
    return final


def _put_in_place(fresh: Path, directory: Path) -> None:
    if directory.is_dir():
        others = sorted({path.name for path in directory.iterdir()} - {*FILES})
        if others:
            raise FraudsimError(
                f"model {directory}: holds {others[0]!r}, not only a model; choose another --out"
            )
        old = Path(tempfile.mkdtemp(prefix=f".{directory.name}.old.", dir=directory.parent))
        os.rename(directory, old / directory.name)
        os.rename(fresh, directory)
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.rename(fresh, directory)


def read_manifest(directory: Path) -> Manifest:
    """The manifest alone, checked against this program but not against the trees.

    Raises:
        FraudsimError: see `manifest.from_json`; or the file is missing.
    """
    path = directory / MANIFEST_FILE
    manifest = from_json(_read(path), str(path))
    check_seal(manifest, str(path))
    return manifest


def load_model(directory: Path, kind: ModelKind = "full") -> Model:
    """Open an artefact, refusing whatever would not score as it did when it was trained.

    Args:
        kind: what is to serve. Everything in the artefact is checked, whatever serves.

    Raises:
        FraudsimError: a file is missing, was cut or changed, or is for other features, or there is none of
            the kind asked for; one line that names the file and the field.
    """
    path = directory / MANIFEST_FILE
    manifest = from_json(_read(path), str(path))
    ubj = _read_trees(directory / MODEL_FILE, manifest.model_sha256, "model_sha256")
    fallback_sha256 = manifest.fallback.model_sha256
    fallback_ubj = _read_trees(directory / FALLBACK_FILE, fallback_sha256, "fallback.model_sha256")
    variants, distilled_ubj = manifest.variants, None
    if variants is not msgspec.UNSET:
        expected = variants.distilled.model_sha256
        distilled_ubj = _read_trees(directory / DISTILLED_FILE, expected, "distilled.model_sha256")
        _check_numbers(variants.cascade, str(path))
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


def _check_numbers(cascade: CascadeNumbers, where: str) -> None:
    for field in ("weight", "missing"):
        count = len(getattr(cascade, field))
        if count != SIZE:
            raise FraudsimError(
                f"model {where}: variants.cascade.{field} has {count} numbers for {SIZE} features; "
                "train a model with this version of fraudsim"
            )


def _read_trees(path: Path, expected: str, field: str) -> bytes:
    ubj = _read(path)
    if sha256_of(ubj) != expected:
        raise FraudsimError(
            f"model {path}: its SHA-256 is {sha256_of(ubj)[:12]}…, the manifest's {field} is "
            f"{expected[:12]}…; the file was cut or changed, train or copy it again"
        )
    return ubj


def sample_scores(ubj: bytes, rows: Matrix) -> list[float]:
    """What `load_model` will compare with."""
    return [float(score) for score in booster_of(ubj).inplace_predict(rows)]


def _check_sample(scorer: Forest | Cascade, sample: Sample, trained_with: str, where: str) -> None:
    if len(sample.rows) != len(sample.scores) or any(len(row) != SIZE for row in sample.rows):
        raise FraudsimError(f"model {where}: {len(sample.rows)} rows do not match its scores or features")
    if not sample.rows:
        raise FraudsimError(f"model {where}: it has no rows")
    rows = np.stack([as_vector(row) for row in sample.rows])
    if isinstance(scorer, Forest):
        scorer.check_walk(rows)
        scorer.check_shap(rows)
    found = scorer.predict(rows)
    expected = np.array(sample.scores, dtype=np.float64)
    # The logarithms of a cascade's first stage are those of the machine.
    exact = isinstance(scorer, Forest) and trained_with == current_versions().xgboost
    off = np.abs(found.astype(np.float64) - expected)
    wrong = np.flatnonzero(~(off <= (0.0 if exact else SAMPLE_TOLERANCE)))
    if wrong.size:
        i = int(wrong[0])
        raise FraudsimError(
            f"model {where} row {i} scores {float(found[i])!r} but scores[{i}]={sample.scores[i]!r} "
            f"(trained with xgboost {trained_with}); train or copy the model again"
        )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FraudsimError(
            f"model {path}: {error.strerror}; `fraudsim train --out {path.parent}` makes one"
        ) from None
