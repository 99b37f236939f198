"""Models that look like models: each has one fault that training or hand-over may bring."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fraudsim.arrays import Floats
from fraudsim.settings import Settings
from model.artefact.files import MANIFEST_FILE, MODEL_FILE, read_manifest, sha256_of
from model.artefact.manifest import Manifest, seal, to_json
from model.forest.forest import booster_of
from model.training.label_knowledge import EVENTUALLY, LabelKnowledge
from model.training.train import TrainingPlan, train_model
from simulator.regimes import REGIMES
from simulator.training import features_under
from stream_features.catalogue.features import NAMES
from stream_features.offline.bulk import bulk_features
from stream_features.vector import as_vector

CATEGORY: Final = "ecommerce"
LEAKED: Final = NAMES.index("card_count_24h")
IDENTITY: Final = ("tx_id", "card_id", "ts", "amount_cents", "merchant_id")
TOO_LOW: Final = -3.0
"""Added to the logit: a probability of 20 % becomes 1 %."""

Maker = Callable[[Path, Path, Path, Settings], None]
"""Makes a model: from the history, the good model, into a folder, by settings."""


def labels_shuffled(history: Path, _: Path, out: Path, settings: Settings) -> None:
    """Labels of one channel stand at other transactions of that channel."""
    copy = out.with_name(f"{out.name}-history")
    shutil.copytree(history, copy)
    transactions = pq.read_table(copy / "transactions.parquet")
    labels = pq.read_table(copy / "labels.parquet")
    channel = transactions.filter(pc.equal(transactions["channel"], CATEGORY))
    chosen = np.flatnonzero(pc.is_in(labels["tx_id"], channel["tx_id"].combine_chunks()).to_numpy())
    rng = np.random.default_rng(1)
    rows = rng.choice(channel.num_rows, len(chosen), replace=False)
    for name in IDENTITY:
        values = labels[name].to_numpy(zero_copy_only=False).copy()
        values[chosen] = channel[name].to_numpy(zero_copy_only=False)[rows]
        index = labels.column_names.index(name)
        field = labels.schema.field(name)
        labels = labels.set_column(index, field, pa.array(values, field.type))
    pq.write_table(labels.sort_by("known_at"), copy / "labels.parquet")
    train_model(copy, out, settings)


def label_leaked(history: Path, _: Path, out: Path, settings: Settings) -> None:
    """A feature knew the label in training: a count that was joined after the fraud was reported."""

    def leaking(transactions: pa.Table, labels: pa.Table) -> Floats:
        vectors = bulk_features(transactions, labels).copy()
        fraud = LabelKnowledge.of(transactions, labels).fraud_known_by(EVENTUALLY)
        vectors[fraud, LEAKED] += 40
        return vectors

    train_model(history, out, settings, TrainingPlan(features=leaking))


def stale_features(history: Path, _: Path, out: Path, settings: Settings) -> None:
    """Trained on features of a nightly job, served in real time."""
    train_model(history, out, settings, TrainingPlan(features=partial(features_under, REGIMES["nightly"])))


def _resealed(good: Path, out: Path, change: Callable[[Manifest], Manifest]) -> None:
    shutil.copytree(good, out)
    (out / MANIFEST_FILE).write_bytes(to_json(seal(change(read_manifest(good)))))


def calibrated_wrongly(_: Path, good: Path, out: Path, __: Settings) -> None:
    """Probabilities a twentieth of what they should be: calibrated on a sample without its weights."""

    def lower(manifest: Manifest) -> Manifest:
        calibration = manifest.to_probability
        moved = replace(calibration, intercept=calibration.intercept + TOO_LOW)
        return msgspec.structs.replace(manifest, calibration=moved)

    _resealed(good, out, lower)


def no_numbers(_: Path, good: Path, out: Path, __: Settings) -> None:
    """A leaf is no number; the rows of the check do not come there."""
    manifest = read_manifest(good)
    rows = np.stack([as_vector(row) for row in manifest.sample.rows])
    booster = booster_of((good / MODEL_FILE).read_bytes())
    document: dict[str, Any] = json.loads(bytes(booster.save_raw("json")))
    trees = document["learner"]["gradient_booster"]["model"]["trees"]
    reached = booster.predict(_matrix(rows), pred_leaf=True).astype(int)
    for number, tree in enumerate(trees):
        leaves = [node for node, left in enumerate(tree["left_children"]) if left == -1]
        weight = tree["sum_hessian"]
        free = [node for node in leaves if node not in set(reached[:, number].tolist())]
        if free:
            node = max(free, key=lambda leaf: weight[leaf])
            tree["split_conditions"][node] = float("nan")
            tree["base_weights"][node] = float("nan")
    text = json.dumps(document)
    import xgboost

    broken = xgboost.Booster()
    broken.load_model(bytearray(text.encode()))
    ubj = bytes(broken.save_raw("ubj"))
    _resealed(good, out, lambda before: msgspec.structs.replace(before, model_sha256=sha256_of(ubj)))
    (out / MODEL_FILE).write_bytes(ubj)


def _matrix(rows: Floats) -> Any:
    import xgboost

    return xgboost.DMatrix(rows)


def another_catalogue(_: Path, good: Path, out: Path, __: Settings) -> None:
    """A model for other features."""
    _resealed(good, out, lambda before: msgspec.structs.replace(before, catalogue_hash="0" * 16))


BAD_MODELS: Final[dict[str, Maker]] = {
    "labels shuffled in e-commerce": labels_shuffled,
    "label leaked into a feature": label_leaked,
    "trained on stale features": stale_features,
    "calibrated wrongly": calibrated_wrongly,
    "scores that are no numbers": no_numbers,
    "another catalogue": another_catalogue,
}
