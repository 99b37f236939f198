"""From a history on disk to a model on disk."""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from rich.console import Console

from fraudsim.settings import Settings
from model.artefact import current_versions, sample_scores, sha256_of, write_model
from model.calibration import Calibration, fit_calibration
from model.dataset import Dataset, build_dataset
from model.fit import fit_trees, scores_of
from model.manifest import REQUEST_NAMES, Fallback, Manifest, Metrics, Sample, feature_hash
from model.metrics import (
    ALERT_BUDGET,
    alerts_at,
    area_under_roc,
    average_precision,
    card_precision_at,
    recall_by_group,
)
from model.split import Split, split_history
from model.threshold import NEVER, Costs, Thresholds, choose_thresholds, total_cost
from producers.history import read_history
from stream_features.catalogue import HASH, NAMES, places
from stream_features.offline import bulk_features
from stream_features.vector import as_list

SAMPLE_ROWS: Final = 32

Matrix = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Fitted:
    """A model before it has been written."""

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
    console: Console | None = None,
) -> Manifest:
    """Features, split, trees, thresholds, test, artefact; the same history and settings give the same bytes.

    Args:
        evaluate_by: group of some transactions by tx_id, such as the typology of frauds; recall is then
            also reported by group. It has no part in training.
        warm_up_days: days at the start that are not trained on; min(30, a third) if None.
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
    return write_model(
        out_dir,
        fitted.ubj,
        fallback.ubj,
        _manifest(split, settings, costs, fitted, fallback, manifest.fingerprint),
    )


def request_only(features: Matrix) -> Matrix:
    """The features where no state can be read: all but what the transaction itself says is null.

    The columns stay, so that both models score rows of one shape; trees never split on a null column.
    """
    blinded = np.full_like(features, np.nan)
    request = places("request")
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
    metrics = _metrics(dataset, scores, costs, thresholds, groups)
    trained_on = features[dataset.train]
    rows = sample_of(scores_of(ubj, trained_on), trained_on)
    sample = Sample(rows=[as_list(row) for row in rows], scores=sample_scores(ubj, rows))
    return Fitted(ubj, thresholds, calibration, metrics, scores, sample)


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


def _metrics(
    dataset: Dataset, scores: Scores, costs: Costs, thresholds: Thresholds, groups: list[str | None] | None
) -> Metrics:
    test, train = dataset.test, dataset.train
    fraud, amount = dataset.eventual_fraud[test], dataset.amount_cents[test]
    precision, ceiling = card_precision_at(
        100, dataset.ts[test], dataset.card[test], fraud, scores, dataset.split.test_from_ms
    )
    alerts = alerts_at(scores)
    approve_all = total_cost(scores, amount, fraud, costs, Thresholds(NEVER, NEVER, NEVER))
    cost = total_cost(scores, amount, fraud, costs, thresholds)
    sources = [dataset.source[i] if dataset.eventual_fraud[i] else None for i in np.flatnonzero(test)]
    return Metrics(
        average_precision=_finite(average_precision(fraud, scores)),
        auc=_finite(area_under_roc(fraud, scores)),
        card_precision_100=_finite(precision),
        card_precision_100_ceiling=_finite(ceiling),
        brier=float(np.mean((scores.astype(np.float64) - fraud) ** 2)),
        mean_score=float(scores.mean(dtype=np.float64)),
        alert_budget=ALERT_BUDGET,
        recall=float(alerts[fraud].mean()) if fraud.any() else None,
        recall_by_source=recall_by_group(alerts, sources),
        recall_by_group=recall_by_group(alerts, groups) if groups else {},
        cost_share=cost / approve_all if approve_all else None,
        train_rows=int(train.sum()),
        test_rows=int(test.sum()),
        train_fraud_rate=float(dataset.known_fraud[train].mean()),
        test_fraud_rate=float(fraud.mean()),
        unknown_fraud_share=dataset.unknown_share,
        compromised_cards=dataset.compromised_cards,
    )


def _manifest(
    split: Split, settings: Settings, costs: Costs, fitted: Fitted, fallback: Fitted, fingerprint: str
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
    )


def sample_of(scores: Scores, features: Matrix) -> Matrix:
    """Rows spread evenly over the ranking, the riskiest included; shape (at most 32, SIZE)."""
    order = np.argsort(scores, kind="stable")
    at = np.unique(np.linspace(0, len(order) - 1, SAMPLE_ROWS).astype(np.int64))
    return features[order[at]]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


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
