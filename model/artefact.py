"""The model on disk and in the scorer: `model.ubj`, `fallback.ubj` (UBJSON), `manifest.json`; no pickle."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

import numpy as np

from fraudsim.errors import FraudsimError
from model.forest import Forest, Matrix, booster_of
from model.manifest import Manifest, Sample, Versions, check_seal, from_json, sealed, to_json
from stream_features.vector import SIZE, as_vector

MODEL_FILE: Final = "model.ubj"
FALLBACK_FILE: Final = "fallback.ubj"
MANIFEST_FILE: Final = "manifest.json"
SAMPLE_TOLERANCE: Final = 1e-6
"""Largest difference of a sample's score under another version of XGBoost."""


class Model(Forest):
    """A model that has passed every check of `load_model`: the champion's trees, and the fallback's."""

    def __init__(self, ubj: bytes, fallback_ubj: bytes, manifest: Manifest) -> None:
        super().__init__(ubj)
        self.manifest = manifest
        self.fallback = Forest(fallback_ubj)
        """Scores on what the transaction alone says, where the state cannot be read."""

    @property
    def version(self) -> str:
        return self.manifest.version


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


def write_model(directory: Path, ubj: bytes, fallback_ubj: bytes, manifest: Manifest) -> Manifest:
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
        ours = {MODEL_FILE, FALLBACK_FILE, MANIFEST_FILE}
        others = sorted({path.name for path in directory.iterdir()} - ours)
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


def load_model(directory: Path) -> Model:
    """Open an artefact, refusing whatever would not score as it did when it was trained.

    Raises:
        FraudsimError: a file is missing, was cut or changed, or is for other features; one line that
            names the file and the field.
    """
    path = directory / MANIFEST_FILE
    manifest = from_json(_read(path), str(path))
    ubj = _read_trees(directory / MODEL_FILE, manifest.model_sha256, "model_sha256")
    fallback_sha256 = manifest.fallback.model_sha256
    fallback_ubj = _read_trees(directory / FALLBACK_FILE, fallback_sha256, "fallback.model_sha256")
    model = Model(ubj, fallback_ubj, manifest)
    trained_with = manifest.versions.xgboost
    _check_sample(model, manifest.sample, trained_with, f"{path}: sample")
    _check_sample(model.fallback, manifest.fallback.sample, trained_with, f"{path}: fallback.sample")
    check_seal(manifest, str(path))
    return model


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


def _check_sample(forest: Forest, sample: Sample, trained_with: str, where: str) -> None:
    if len(sample.rows) != len(sample.scores) or any(len(row) != SIZE for row in sample.rows):
        raise FraudsimError(f"model {where}: {len(sample.rows)} rows do not match its scores or features")
    if not sample.rows:
        raise FraudsimError(f"model {where}: it has no rows")
    rows = np.stack([as_vector(row) for row in sample.rows])
    forest.check_walk(rows)
    found = forest.predict(rows)
    expected = np.array(sample.scores, dtype=np.float64)
    exact = trained_with == current_versions().xgboost
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
