"""Tables into what a model is trained and tested on. Pure: no files, no clock.

The test set bears all labels there will ever be, late ones included: a model is judged by what came
to light, not by what was known that day. What nobody ever reports counts as honest, as it would in
a bank's own evaluation; only the caller may bring the truth (`evaluate_by`).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fraudsim.errors import FraudsimError
from model.training.label_knowledge import EVENTUALLY, LabelKnowledge
from model.training.split import Split
from stream_features.offline.columns import codes, column

Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Everything but the features, per transaction in the table's order, shape (n,)."""

    split: Split
    ts: Ints
    amount_cents: Ints
    card: Ints
    """Code of the card."""
    known_fraud: Flags
    """As known at the training time; what training sees."""
    eventual_fraud: Flags
    """As known in the end; what the test is judged by."""
    source: list[str | None]
    """Who first reported the fraud."""
    train: Flags
    calibration: Flags
    """The slice at the end of train on which thresholds are chosen."""
    test: Flags
    compromised_cards: int
    """Cards known compromised at the training time, which the test set leaves out."""

    @property
    def unknown_share(self) -> float:
        """Share of the train period's eventual fraud not yet known at the training time."""
        eventual = self.train & self.eventual_fraud
        total = int(eventual.sum())
        return float((eventual & ~self.known_fraud).sum()) / total if total else 0.0


def build_dataset(transactions: pa.Table, labels: pa.Table, split: Split) -> Dataset:
    """Labels as known at the training time, periods, and the test set without compromised cards.

    A card that a standing label says was compromised before the test period leaves the test set, since
    it would be blocked by then (Fraud Detection Handbook, `get_train_test_set`).

    Raises:
        FraudsimError: the train period, or either part of it, has no known fraud or no honest
            transaction, or the test set is empty; the message says which.
    """
    ts = column(transactions, "ts").astype(np.int64)
    card, _ = codes(transactions, "card_id")
    knowledge = LabelKnowledge.of(transactions, labels)
    known = knowledge.fraud_known_by(split.training_time_ms)
    compromised = np.unique(card[known & (ts < split.test_from_ms)])
    dataset = Dataset(
        split=split,
        ts=ts,
        amount_cents=column(transactions, "amount_cents").astype(np.int64),
        card=card,
        known_fraud=known,
        eventual_fraud=knowledge.fraud_known_by(EVENTUALLY),
        source=knowledge.first_source(),
        train=split.train(ts),
        calibration=split.calibration(ts),
        test=split.test(ts) & ~np.isin(card, compromised),
        compromised_cards=len(compromised),
    )
    _check(dataset)
    return dataset


def _check(dataset: Dataset) -> None:
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
