"""The paired difference of two models by card, and what it allows to say. Pure."""

import math
from enum import IntEnum
from typing import Final

import msgspec
import numpy as np

from fraudsim.arrays import Doubles

Z975: Final = 1.959964
LEAST_CARDS: Final = 20
"""Of fewer cards that differ, no interval is worth anything: one of them may be half of the difference."""
MARGIN: Final = 0.05
"""Share of A's net loss by which B may cost more and still count as not worse."""


class Gate(IntEnum):
    """What a backtest says; the values are the exit codes of the command."""

    NOT_WORSE = 0
    WORSE = 1
    CANNOT_TELL = 3

    @property
    def sentence(self) -> str:
        return {
            Gate.NOT_WORSE: "B is not worse than A",
            Gate.WORSE: "B is worse than A",
            Gate.CANNOT_TELL: "these weeks cannot tell whether B is worse than A",
        }[self]


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """A mean difference, B less A, with its 95 % interval; cents per 1,000 cards and week."""

    mean: float
    low: float
    high: float
    cards: int
    """All cards."""
    cards_that_differ: int

    @property
    def text(self) -> str:
        """In whole currency units."""
        return f"{self.mean / 100:+,.2f} ({self.low / 100:+,.2f} to {self.high / 100:+,.2f})"


def paired_by_card(differences: Doubles, weeks: float, cards: int | None = None) -> Interval:
    """The mean difference with the interval of the central limit theorem over cards.

    Args:
        differences: B's cents less A's by card, over all weeks, shape (n,).
        cards: all cards, where those without a difference are not all among the n.

    >>> paired_by_card(np.array([700.0, 0.0]), weeks=1.0).mean
    350000.0
    """
    n = max(cards or 0, len(differences))
    if not n:
        return Interval(mean=0.0, low=0.0, high=0.0, cards=0, cards_that_differ=0)
    total, squares = float(differences.sum()), float(np.square(differences).sum())
    mean = total / n
    deviation = math.sqrt(max(0.0, squares - n * mean * mean) / max(1, n - 1))
    scale = 1_000 / weeks
    half = Z975 * deviation / math.sqrt(n)
    return Interval(
        mean=mean * scale,
        low=(mean - half) * scale,
        high=(mean + half) * scale,
        cards=n,
        cards_that_differ=int(np.count_nonzero(differences)),
    )


def gate_of(difference: Interval, loss_of_a: float, margin: float = MARGIN) -> Gate:
    """The verdict: worse where the whole interval is above 0, not worse where it is below the margin.

    Args:
        loss_of_a: A's net loss, cents per 1,000 cards and week.
    """
    if not difference.cards_that_differ and difference.low == difference.high == 0:
        return Gate.NOT_WORSE
    if difference.cards_that_differ < LEAST_CARDS:
        return Gate.CANNOT_TELL
    if difference.low > 0:
        return Gate.WORSE
    return Gate.NOT_WORSE if difference.high <= margin * loss_of_a else Gate.CANNOT_TELL
