"""Figures of scores on the test period, and the sample of rows that a loaded model is checked by. Pure."""

import math
from typing import Final

import numpy as np

from fraudsim.arrays import Floats
from model.artefact.costs import Costs, Stakes
from model.artefact.manifest import Metrics
from model.artefact.thresholds import NEVER, Thresholds, total_cost
from model.training.dataset import TrainingDataset
from model.training.ranking import (
    ALERT_BUDGET,
    alerts_at,
    area_under_roc,
    average_precision,
    card_precision_at,
    recall_by_group,
)

SAMPLE_ROWS: Final = 32


def metrics_of(
    dataset: TrainingDataset,
    scores: Floats,
    costs: Costs,
    thresholds: Thresholds,
    groups: list[str | None] | None,
) -> Metrics:
    """The figures of scores of the dataset's test rows, in their order; `groups` has one entry per row."""
    test, train = dataset.test, dataset.train
    fraud = dataset.eventual_fraud[test]
    stakes = Stakes(dataset.amount_cents[test], fraud, dataset.can_hold[test])
    precision, ceiling = card_precision_at(
        100, dataset.ts[test], dataset.card[test], fraud, scores, dataset.split.test_from_ms
    )
    alerts = alerts_at(scores)
    approve_all = total_cost(scores, stakes, costs, Thresholds(NEVER, NEVER, NEVER))
    cost = total_cost(scores, stakes, costs, thresholds)
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
        train_known_share=dataset.known_share,
    )


def sample_of(scores: Floats, features: Floats) -> Floats:
    """Rows spread evenly over the ranking, including the riskiest; shape (at most 32, SIZE)."""
    order = np.argsort(scores, kind="stable")
    ranks = np.unique(np.linspace(0, len(order) - 1, SAMPLE_ROWS).astype(np.int64))
    return features[order[ranks]]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
