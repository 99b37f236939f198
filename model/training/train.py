"""From a history on disk to a model on disk."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from rich.console import Console

from fraudsim.settings import Settings
from model.artefact.calibration import Calibration, fit_calibration
from model.artefact.files import current_versions, sample_scores, sha256_of, write_model
from model.artefact.manifest import REQUEST_NAMES, Fallback, Manifest, Metrics, Sample, Variants, feature_hash
from model.artefact.thresholds import Costs, Thresholds, choose_thresholds
from model.forest.fit import fit_trees, scores_of
from model.training.dataset import Dataset, build_dataset
from model.training.evaluate import metrics_of, sample_of
from model.training.split import Split, split_history
from model.training.variants import Teacher, fit_variants
from producers.history.folder import read_history
from stream_features.catalogue.features import HASH, NAMES, feature_indexes
from stream_features.offline.bulk import bulk_features
from stream_features.vector import as_list

Matrix = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Fitted:
    """A model before it has been written."""

    early: bytes
    """Trees that have not seen the calibration slice."""
    ubj: bytes
    thresholds: Thresholds
    calibration: Calibration
    metrics: Metrics
    test_scores: Scores
    """In the order of the dataset's test rows."""
    sample: Sample
    """Of the train period."""


def train_model(
    history_dir: Path,
    out_dir: Path,
    settings: Settings,
    *,
    evaluate_by: Mapping[str, str] | None = None,
    costs: Costs | None = None,
    warm_up_days: float | None = None,
    variants: bool = False,
    console: Console | None = None,
) -> Manifest:
    """Features, split, trees, thresholds, test, artefact; the same history and settings give the same bytes.

    Args:
        evaluate_by: group of some transactions by tx_id, such as the typology of frauds; recall is then
            also reported by group. It has no part in training.
        warm_up_days: days at the start that are not trained on; min(30, a third) if None.
        variants: also fit a cascade and a distilled model, which may serve in the full one's place.
        console: where progress goes; None is silent.

    Raises:
        FraudsimError: the history cannot be read, or is too short or too honest to train on, or `out_dir`
            cannot be written.
    """
    costs = costs or Costs()
    history = read_history(history_dir)
    manifest = history.manifest
    split = split_history(manifest.start_ms, manifest.end_ms, settings.label_gap_days, warm_up_days)
    with _step(console, "reading the history"):
        transactions, labels = history.transactions(), history.labels()
        dataset = build_dataset(transactions, labels, split)
    with _step(console, f"computing {len(NAMES)} features of {transactions.num_rows:,} transactions"):
        features = bulk_features(transactions, labels)
    with _step(console, f"training on {int(dataset.train.sum()):,} of them"):
        groups = groups_of(transactions, dataset, evaluate_by)
        fitted = fit_and_test(dataset, features, costs, settings.seed, groups)
    with _step(console, "training the fallback, which has no state to look at"):
        fallback = fit_and_test(dataset, request_only(features), costs, settings.seed, groups)
    cheaper: Variants | msgspec.UnsetType = msgspec.UNSET
    distilled: bytes | None = None
    if variants:
        with _step(console, "training a cascade and a distilled model"):
            teacher = Teacher(fitted.early, fitted.ubj, fitted.thresholds)
            cheaper, distilled = fit_variants(dataset, features, teacher, costs, settings.seed, groups)
    described = _manifest(split, settings, costs, fitted, fallback, manifest.fingerprint, cheaper)
    return write_model(out_dir, fitted.ubj, fallback.ubj, described, distilled)


def request_only(features: Matrix) -> Matrix:
    """The features where no state can be read: all but what the transaction itself says is null.

    The columns stay, so that both models score rows of one shape; trees never split on a null column.
    """
    blinded = np.full_like(features, np.nan)
    request = feature_indexes("request")
    blinded[:, request] = features[:, request]
    return blinded


def fit_and_test(
    dataset: Dataset, features: Matrix, costs: Costs, seed: int, groups: list[str | None] | None = None
) -> Fitted:
    """Trees, thresholds, calibration and test figures, from features in the dataset's order, shape (n, SIZE).

    Thresholds and calibration come from the end of the train period with scores of trees that have not seen
    it; the trees that are kept are then fitted on the whole period, so that they know the latest attacks.

    Args:
        groups: one per test row; recall is reported by group.
    """
    held_out = dataset.calibration
    early = fit_trees(*_rows(dataset, features, dataset.train & ~held_out), seed)
    unseen, known = scores_of(early, features[held_out]), dataset.known_fraud[held_out]
    thresholds = choose_thresholds(unseen, dataset.amount_cents[held_out], known, costs)
    calibration = fit_calibration(unseen, known)
    ubj = fit_trees(*_rows(dataset, features, dataset.train), seed)
    scores = scores_of(ubj, features[dataset.test])
    metrics = metrics_of(dataset, scores, costs, thresholds, groups)
    trained_on = features[dataset.train]
    rows = sample_of(scores_of(ubj, trained_on), trained_on)
    sample = Sample(rows=[as_list(row) for row in rows], scores=sample_scores(ubj, rows))
    return Fitted(early, ubj, thresholds, calibration, metrics, scores, sample)


def groups_of(
    transactions: pa.Table, dataset: Dataset, evaluate_by: Mapping[str, str] | None
) -> list[str | None] | None:
    """The group of each test row."""
    if evaluate_by is None:
        return None
    tested = transactions["tx_id"].filter(pa.array(dataset.test)).to_pylist()
    return [evaluate_by.get(tx_id) for tx_id in tested]


def _rows(
    dataset: Dataset, features: Matrix, rows: npt.NDArray[np.bool_]
) -> tuple[Matrix, npt.NDArray[np.bool_]]:
    return features[rows], dataset.known_fraud[rows]


def _manifest(
    split: Split,
    settings: Settings,
    costs: Costs,
    fitted: Fitted,
    fallback: Fitted,
    fingerprint: str,
    variants: Variants | msgspec.UnsetType,
) -> Manifest:
    return Manifest(
        version="",
        features=list(NAMES),
        catalogue_hash=HASH,
        feature_hash=feature_hash(list(NAMES)),
        data_fingerprint=fingerprint,
        train_from_ms=split.train_from_ms,
        train_until_ms=split.train_until_ms,
        test_from_ms=split.test_from_ms,
        label_gap_days=settings.label_gap_days,
        metrics=fitted.metrics,
        thresholds=fitted.thresholds,
        costs=costs,
        sample=fitted.sample,
        fallback=Fallback(
            features=list(REQUEST_NAMES),
            thresholds=fallback.thresholds,
            metrics=fallback.metrics,
            sample=fallback.sample,
            model_sha256=sha256_of(fallback.ubj),
            calibration=fallback.calibration,
        ),
        versions=current_versions(),
        model_sha256=sha256_of(fitted.ubj),
        calibration=fitted.calibration,
        variants=variants,
    )


@contextmanager
def _step(console: Console | None, what: str) -> Iterator[Any]:
    """Show that something is under way, then how long it took."""
    if console is None:
        yield
        return
    started = time.perf_counter()
    with console.status(what):
        yield
    console.print(f"[dim]{what}: {time.perf_counter() - started:.1f} s[/dim]")
