"""The split of a history by time: warm-up, train, label gap, test. Pure."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from fraudsim.arrays import Flags, Ints
from fraudsim.errors import FraudsimError
from stream_features.catalogue.features import DAY

LONGEST_WARM_UP_DAYS: Final = 30.0
"""The longest window of the catalogue."""
SHORT_HISTORY_DAYS: Final = 28
LONGEST_TEST_DAYS: Final = 7
LEAST_TRAIN_DAYS: Final = 1.0
SLICE_SHARE: Final = 0.2
"""The last share of the train period, on which thresholds are chosen."""


@dataclass(frozen=True)
class Split:
    """Boundaries in event time, ms; every period contains its start and not its end.

    `[start, train_from)` warm-up, `[train_from, train_until)` train, `[train_until, test_from)` label
    gap, `[test_from, end)` test. The model is trained at `test_from`, with the labels known by then.
    """

    start_ms: int
    train_from_ms: int
    train_until_ms: int
    test_from_ms: int
    end_ms: int

    @property
    def training_time_ms(self) -> int:
        return self.test_from_ms

    @property
    def slice_from_ms(self) -> int:
        """Start of the slice at the end of train on which thresholds are chosen."""
        return self.train_until_ms - int(SLICE_SHARE * (self.train_until_ms - self.train_from_ms))

    def train(self, ts: Ints) -> Flags:
        return (ts >= self.train_from_ms) & (ts < self.train_until_ms)

    def calibration(self, ts: Ints) -> Flags:
        return (ts >= self.slice_from_ms) & (ts < self.train_until_ms)

    def test(self, ts: Ints) -> Flags:
        return (ts >= self.test_from_ms) & (ts < self.end_ms)


def default_warm_up_days(days: float) -> float:
    """min(30, a third of the history), in which long windows are too cold to learn from.

    Less than four weeks: a seventh of it, since long windows stay cold anyway and days are scarce.
    """
    return min(LONGEST_WARM_UP_DAYS, days / 3 if days >= SHORT_HISTORY_DAYS else days / 7)


def default_test_days(days: float) -> int:
    """15 % of the history in whole days, between 1 and 7."""
    return min(LONGEST_TEST_DAYS, max(1, int(0.15 * days)))


def split_history(
    start_ms: int, end_ms: int, label_gap_days: float, warm_up_days: float | None = None
) -> Split:
    """The split of `[start_ms, end_ms)`.

    The gap is never shortened to make room.

    Raises:
        FraudsimError: less than a day would be left to train on; the message names
            FRAUDSIM_LABEL_GAP_DAYS, its value and the largest that fits.
    """
    days = (end_ms - start_ms) / DAY
    warm_up = default_warm_up_days(days) if warm_up_days is None else warm_up_days
    test = default_test_days(days)
    longest_gap = days - warm_up - test - LEAST_TRAIN_DAYS
    if label_gap_days > longest_gap:
        periods = f"a history of {days:g} days (warm-up {warm_up:.3g}, test {test})"
        advice = (
            f"set it to {np.floor(10 * longest_gap) / 10:g} or less, or take a longer history"
            if longest_gap >= 0
            else "take a longer history"
        )
        raise FraudsimError(
            f"setting FRAUDSIM_LABEL_GAP_DAYS={label_gap_days:g} leaves less than a day to train on in "
            f"{periods}; {advice}"
        )
    test_from = end_ms - test * DAY
    return Split(
        start_ms=start_ms,
        train_from_ms=start_ms + round(warm_up * DAY),
        train_until_ms=test_from - round(label_gap_days * DAY),
        test_from_ms=test_from,
        end_ms=end_ms,
    )
