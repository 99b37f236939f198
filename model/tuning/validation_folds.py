"""Prequential validation: consecutive folds, each trained before a label gap and tested after it. Pure.

Source: Fraud Detection Handbook, `get_train_test_set` and `prequentialSplit` (chapters 3 and 5): days of
training, days of delay in which labels arrive, days of test; each earlier fold lies `test_days` before the
next one. During the test a card leaves with the first day on which a fraud of it is known.
"""

from dataclasses import dataclass

import numpy as np

from fraudsim.arrays import Flags, Ints
from fraudsim.errors import FraudsimError
from model.training.label_knowledge import EVENTUALLY, LabelKnowledge
from stream_features.catalogue.features import DAY

_NEVER: int = np.iinfo(np.int64).max


@dataclass(frozen=True)
class FoldDays:
    """Lengths in days of a fold's training, label gap and test."""

    train: int = 7
    gap: int = 7
    test: int = 7

    @property
    def total(self) -> int:
        return self.train + self.gap + self.test


@dataclass(frozen=True)
class ValidationFold:
    """`[train_from, train_until)`, a label gap, `[test_from, test_until)`; event time, ms."""

    train_from_ms: int
    train_until_ms: int
    test_from_ms: int
    test_until_ms: int

    @classmethod
    def of_test(cls, test_from_ms: int, days: FoldDays) -> "ValidationFold":
        """The fold whose test begins at a midnight."""
        until = test_from_ms - days.gap * DAY
        return cls(until - days.train * DAY, until, test_from_ms, test_from_ms + days.test * DAY)


@dataclass(frozen=True, eq=False)
class FoldRows:
    """The rows of a fold; arrays have one entry per transaction, shape (n,)."""

    train: Flags
    train_fraud: Flags
    """As known when the test begins."""
    test: Flags
    """Without cards that are known compromised on the day."""
    test_fraud: Flags
    """As known in the end."""


def prequential_folds(start_ms: int, end_ms: int, days: FoldDays, count: int) -> list[ValidationFold]:
    """Up to `count` folds of `[start_ms, end_ms)`, in order of time; the last one's test ends at the end.

    Raises:
        FraudsimError: there is no room for one.
    """
    starts = [end_ms - (number + 1) * days.test * DAY for number in range(count)]
    folds = [ValidationFold.of_test(start, days) for start in reversed(starts)]
    fitting = [fold for fold in folds if fold.train_from_ms >= start_ms]
    if not fitting:
        raise FraudsimError(
            f"validation: {(end_ms - start_ms) / DAY:g} days are too few for {days.train} days of training, "
            f"{days.gap} until labels are known and {days.test} of test; take {days.total} or more"
        )
    return fitting


def rows_of_fold(fold: ValidationFold, ts: Ints, card: Ints, knowledge: LabelKnowledge) -> FoldRows:
    """The rows that a fold trains and tests on; `ts` and `card` (codes) have shape (n,).

    Raises:
        FraudsimError: the training has no known fraud or no honest transaction, or the test no fraud.
    """
    train = (ts >= fold.train_from_ms) & (ts < fold.train_until_ms)
    in_test = (ts >= fold.test_from_ms) & (ts < fold.test_until_ms)
    day = fold.test_from_ms + (ts - fold.test_from_ms) // DAY * DAY
    # Cards that were blocked before are not in the training either, so their frauds do not count.
    first_known = first_known_fraud(ts >= fold.train_from_ms, card, knowledge)
    rows = FoldRows(
        train=train,
        train_fraud=knowledge.fraud_known_by(fold.test_from_ms),
        test=in_test & (first_known[card] >= day),
        test_fraud=knowledge.fraud_known_by(EVENTUALLY),
    )
    _check(rows, fold)
    return rows


def first_known_fraud(counted: Flags, card: Ints, knowledge: LabelKnowledge) -> Ints:
    """By card code: when a fraud among the `counted` transactions is first known, ms; late if never."""
    first = np.full(int(card.max(initial=-1)) + 1, _NEVER, np.int64)
    frauds = knowledge.says_fraud & counted[knowledge.rows]
    np.minimum.at(first, card[knowledge.rows[frauds]], knowledge.known_at[frauds])
    return first


def _check(rows: FoldRows, fold: ValidationFold) -> None:
    train, frauds = int(rows.train.sum()), int(rows.train_fraud[rows.train].sum())
    if frauds in (0, train):
        raise FraudsimError(
            f"validation: the training from {_date(fold.train_from_ms)} has {train:,} transactions of which "
            f"{frauds:,} are known frauds; both kinds are needed: take longer or larger data"
        )
    test, frauds = int(rows.test.sum()), int(rows.test_fraud[rows.test].sum())
    if frauds in (0, test):
        raise FraudsimError(
            f"validation: the test from {_date(fold.test_from_ms)} has {test:,} transactions of which "
            f"{frauds:,} are frauds; both kinds are needed: take longer or larger data"
        )


def _date(time_ms: int) -> str:
    return str(np.datetime64(time_ms, "ms").astype("M8[D]"))
