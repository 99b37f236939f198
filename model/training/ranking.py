"""Metrics of how well scores rank fraud. Pure."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fraudsim.arrays import Flags, Ints
from stream_features.catalogue.features import DAY

ALERT_BUDGET: Final = 0.005
"""Share of transactions that are alerts where recall is reported at a fixed budget."""

Scores = npt.NDArray[Any]


def average_precision(is_fraud: Flags, scores: Scores) -> float:
    """Mean precision over the recall steps (scikit-learn's definition); nan without fraud."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(is_fraud, scores)) if is_fraud.any() else float("nan")


def area_under_roc(is_fraud: Flags, scores: Scores) -> float:
    """Probability that a fraud scores above an honest transaction; nan unless there are both."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(is_fraud, scores)) if 0 < is_fraud.sum() < len(is_fraud) else float("nan")


def card_precision_at(
    k: int, ts: Ints, card: Ints, is_fraud: Flags, scores: Scores, first_ms: int
) -> tuple[float, float]:
    """Card precision@k and the highest possible one: means over the days from `first_ms`.

    Each day the k cards of highest score (a card's score is that of its riskiest transaction) are
    investigated; precision is the share of k that had fraud that day. A card found compromised leaves the
    following days. Source: Fraud Detection Handbook, `card_precision_top_k`.
    """
    day = (ts - first_ms) // DAY
    compromised: Ints = np.empty(0, np.int64)
    values, ceilings = [], []
    for number in range(int(day.max(initial=-1)) + 1):
        rows = np.flatnonzero((day == number) & ~np.isin(card, compromised))
        if not rows.size:
            continue
        cards, inverse = np.unique(card[rows], return_inverse=True)
        highest = np.full(len(cards), -np.inf)
        np.maximum.at(highest, inverse, scores[rows])
        had_fraud = np.zeros(len(cards), np.bool_)
        had_fraud[inverse[is_fraud[rows]]] = True
        top = np.argsort(-highest, kind="stable")[:k]
        values.append(had_fraud[top].sum() / k)
        ceilings.append(min(k, int(had_fraud.sum())) / k)
        compromised = np.union1d(compromised, cards[top[had_fraud[top]]])
    return (float(np.mean(values)), float(np.mean(ceilings))) if values else (float("nan"), float("nan"))


def alerts_at(scores: Scores, budget: float = ALERT_BUDGET) -> Flags:
    """Flags the transactions of highest score, as many as the budget (a share) allows, at least one."""
    alerts = np.zeros(len(scores), np.bool_)
    count = max(1, int(budget * len(scores)))
    alerts[np.argsort(-np.asarray(scores), kind="stable")[:count]] = True
    return alerts


def recall_by_group(alerts: Flags, groups: Sequence[str | None]) -> dict[str, float]:
    """Share of each group's transactions that are alerts, by group; None is no group."""
    names = np.array([group or "" for group in groups], dtype=object)
    return {
        str(name): float(alerts[names == name].mean())
        for name in sorted({group for group in groups if group})
    }
