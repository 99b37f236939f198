"""Small models on disk that find large amounts risky, each with other trees and so with other scores."""

import msgspec
import numpy as np

from model.artefact.calibration import Calibration
from model.artefact.files import sample_scores, sha256_of, write_model
from model.artefact.manifest import REQUEST_NAMES, Sample, feature_hash
from model.forest.fit import fit_trees
from model.forest.forest import booster_of
from model.training.train import request_only
from stream_features.catalogue.features import HASH, NAMES
from stream_features.vector import SIZE, as_list
from testing.rigs.http_rig import MANIFEST


def make_models(folder, count, trees=60):
    """The folders of `count` models, `m0`, `m1`…: the same trees, of which each has two less."""
    rng = np.random.default_rng(1)
    features = rng.lognormal(5, 2, (2_000, SIZE)).astype(np.float32)
    fraud = rng.random(2_000) < 0.05 + 0.5 * (features[:, 0] > 1_000)
    full, fallback_ubj = (
        booster_of(fit_trees(features, fraud, 1)),
        fit_trees(request_only(features), fraud, 1),
    )
    fallback = msgspec.structs.replace(
        MANIFEST.fallback,
        **_checked_by(fallback_ubj, request_only(features)[:3]),
        features=list(REQUEST_NAMES),
    )
    made = []
    for number in range(count):
        ubj = bytes(full[: trees - 2 * number].save_raw("ubj"))
        manifest = msgspec.structs.replace(
            MANIFEST, **_checked_by(ubj, features[:3]), fallback=fallback, label_gap_days=0.0,
            features=list(NAMES), catalogue_hash=HASH, feature_hash=feature_hash(list(NAMES)),
            calibration=Calibration(1.0, 0.01 * number),
        )  # fmt: skip
        write_model(folder / f"m{number}", ubj, fallback_ubj, manifest)
        made.append(folder / f"m{number}")
    return made


def _checked_by(ubj, rows):
    sample = Sample(rows=[as_list(row) for row in rows], scores=sample_scores(ubj, rows))
    return {"sample": sample, "model_sha256": sha256_of(ubj)}
