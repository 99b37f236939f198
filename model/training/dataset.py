"""The transactions and labels that a model is trained and tested on. Pure: no files, no clock.

The test set has all labels there will ever be, late ones included: a model is evaluated by what came to light
in the end, not by what was known on the day. A fraud that is never reported counts as honest, as it would in
a bank's own evaluation; the truth enters only through the caller's groups (`evaluate_by`).
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from fraudsim.arrays import Flags, Ints
from fraudsim.errors import FraudsimError
from model.artefact.costs import Stakes
from model.training.label_knowledge import EVENTUALLY, LabelKnowledge
from model.training.maturity import ANY, expected_known_share, maturity_curves
from model.training.split import Split
from producers.labels.outcome import CARD_NOT_PRESENT
from stream_features.offline.columns import codes, column


@dataclass(frozen=True, eq=False)
class TrainingDataset:
    """All but the features; arrays have one entry per transaction in the table's order, shape (n,)."""

    split: Split
    ts: Ints
    amount_cents: Ints
    card: Ints
    """Code of the card."""
    known_fraud: Flags
    """As known at the training time; used for training."""
    eventual_fraud: Flags
    """As known in the end; used for the test."""
    source: list[str | None]
    """The source that first reported the fraud."""
    can_hold: Flags
    """Whether a review can hold the payment: the card is not present."""
    train: Flags
    calibration: Flags
    """The slice at the end of train on which thresholds are chosen."""
    test: Flags
    compromised_cards: int
    """Number of cards known compromised at the training time; the test set leaves them out."""
    known_share: float
    """Share of the train period's fraud that is estimated to be known at the training time, from the labels
    known by then; see `maturity`."""

    def known_stakes(self, rows: Flags) -> Stakes:
        """What is at stake in some transactions, as known at the training time."""
        return Stakes(self.amount_cents, self.known_fraud, self.can_hold).take(rows)

    @property
    def unknown_share(self) -> float:
        """Share of the train period's eventual fraud not yet known at the training time."""
        eventual = self.train & self.eventual_fraud
        total = int(eventual.sum())
        return float((eventual & ~self.known_fraud).sum()) / total if total else 0.0


def build_dataset(transactions: pa.Table, labels: pa.Table, split: Split) -> TrainingDataset:
    """The dataset of a split: labels as known at the training time, and a test set without compromised cards.

    A card with a fraud before the test period that is known at the training time leaves the test set, since
    it would be blocked by then (Fraud Detection Handbook, `get_train_test_set`).

    Raises:
        FraudsimError: either part of the train period has no known fraud or no honest transaction, or the
            test set is empty; the message says which.
    """
    ts = column(transactions, "ts").astype(np.int64)
    card, _ = codes(transactions, "card_id")
    knowledge = LabelKnowledge.of(transactions, labels)
    known_fraud = knowledge.fraud_known_by(split.training_time_ms)
    compromised = np.unique(card[known_fraud & (ts < split.test_from_ms)])
    dataset = TrainingDataset(
        split=split,
        ts=ts,
        amount_cents=column(transactions, "amount_cents").astype(np.int64),
        card=card,
        known_fraud=known_fraud,
        eventual_fraud=knowledge.fraud_known_by(EVENTUALLY),
        source=knowledge.first_source(),
        can_hold=_can_hold(transactions),
        train=split.train(ts),
        calibration=split.calibration(ts),
        test=split.test(ts) & ~np.isin(card, compromised),
        compromised_cards=len(compromised),
        known_share=expected_known_share(
            maturity_curves(ts, knowledge, split.training_time_ms).get(ANY),
            ts[split.train(ts)],
            split.training_time_ms,
        ),
    )
    _check(dataset)
    return dataset


def _can_hold(transactions: pa.Table) -> Flags:
    index, channels = codes(transactions, "channel")
    # The last entry stands for -1, no channel.
    return np.array([*(channel in CARD_NOT_PRESENT for channel in channels), False])[index]


def _check(dataset: TrainingDataset) -> None:
    parts = {
        "the train period": dataset.train & ~dataset.calibration,
        "the end of the train period": dataset.calibration,
    }
    for name, part in parts.items():
        frauds = int(dataset.known_fraud[part].sum())
        if frauds in (0, int(part.sum())):
            raise FraudsimError(
                f"{name} has {int(part.sum())} transactions of which {frauds} are known frauds at the "
                "training time; both kinds are needed: take a longer history or one with more cards"
            )
    if not dataset.test.any():
        raise FraudsimError("the test set has no transactions: take a longer history or one with more cards")
