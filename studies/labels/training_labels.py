"""What a model is told of its history: which payments pass for fraud at the training time. Pure."""

from typing import Final

import numpy as np
import pyarrow as pa

from fraudsim.arrays import Flags, Ints
from model.training.label_knowledge import LabelKnowledge
from producers.rng import chance, generator
from stream_features.catalogue.features import DAY
from studies.labels.plan import LabelView

_FALSE: Final = "study-false-label"
_LOST: Final = "study-lost-label"


def known_frauds(
    transactions: pa.Table, labels: pa.Table, is_fraud: Flags, view: LabelView, at_ms: int, seed: int
) -> Flags:
    """By transaction, whether it passes for fraud at `at_ms`; shape (n,).

    Whose labels are lost or false depends on the seed and the transaction alone.

    Args:
        is_fraud: the truth, which only `view.truth` and nothing else uses.
    """
    if view.truth:
        return is_fraud.copy()
    labelled = LabelKnowledge.of(transactions, labels).fraud_known_by(at_ms - round(view.later_days * DAY))
    if not (view.lost or view.false):
        return labelled
    ids = transactions["tx_id"].to_pylist()
    frauds = np.flatnonzero(labelled)
    lost = [row for row in frauds.tolist() if chance(seed, _LOST, ids[row]) < view.lost]
    wrong = false_rows(labelled, round(view.false * len(frauds)), seed)
    labelled[lost] = False
    labelled[wrong] = True
    return labelled


def false_rows(labelled: Flags, count: int, seed: int) -> Ints:
    """`count` rows that pass for honest, drawn by the seed; shape (count,)."""
    honest = np.flatnonzero(~labelled)
    drawn = generator(seed, _FALSE).choice(honest, min(count, len(honest)), replace=False)
    return np.sort(drawn)
