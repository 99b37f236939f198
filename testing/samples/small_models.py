"""Small models on disk that score large amounts as risky; each has other trees and so other scores."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from fraudsim.arrays import Floats
from model.artefact.calibration import Calibration
from model.artefact.files import sample_scores, sha256_of, write_model
from model.artefact.manifest import REQUEST_NAMES, Sample, feature_hash
from model.forest.fit import fit_trees
from model.forest.forest import booster_of
from model.training.fallback import request_only
from stream_features.catalogue.features import HASH, NAMES
from stream_features.vector import SIZE, as_list
from testing.samples.manifest import MANIFEST


def make_models(folder: Path, count: int, trees: int = 60) -> list[Path]:
    """Write `count` models to `m0`, `m1`, …: each has the same trees but two fewer than the one before."""
    rng = np.random.default_rng(1)
    features = rng.lognormal(5, 2, (2_000, SIZE)).astype(np.float32)
    fraud = rng.random(2_000) < 0.05 + 0.5 * (features[:, 0] > 1_000)
    full, fallback_ubj = (
        booster_of(fit_trees(features, fraud, 1)),
        fit_trees(request_only(features), fraud, 1),
    )
    fallback = msgspec.structs.replace(
        MANIFEST.fallback,
        **_checks_of(fallback_ubj, request_only(features)[:3]),
        features=list(REQUEST_NAMES),
    )
    model_dirs = []
    for number in range(count):
        ubj = bytes(full[: trees - 2 * number].save_raw("ubj"))
        manifest = msgspec.structs.replace(
            MANIFEST, **_checks_of(ubj, features[:3]), fallback=fallback, label_gap_days=0.0,
            features=list(NAMES), catalogue_hash=HASH, feature_hash=feature_hash(list(NAMES)),
            calibration=Calibration(1.0, 0.01 * number),
        )  # fmt: skip
        write_model(folder / f"m{number}", ubj, fallback_ubj, manifest)
        model_dirs.append(folder / f"m{number}")
    return model_dirs


def _checks_of(ubj: bytes, rows: Floats) -> dict[str, Any]:
    """The manifest's fields by which a model's file is checked."""
    sample = Sample(rows=[as_list(row) for row in rows], scores=sample_scores(ubj, rows))
    return {"sample": sample, "model_sha256": sha256_of(ubj)}
