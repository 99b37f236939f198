"""What a distance comes to without drift, from the reference weeks alone.

Each reference week is compared with the others, as it is and under each resample of the cards. So the limit
knows how much one week differs from the next by itself, and how much that depends on who the cards are; it
does not assume that payments, cards or days are alike. Weeks have every weekday once, so only equal days are
compared. The limit is Student's prediction for a further week, at a level shared by all signals (Bonferroni).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fraudsim.arrays import Doubles
from fraudsim.student import student_quantile

Distance = Callable[[Doubles, Doubles], Doubles]


@dataclass(frozen=True)
class NullLimit:
    """The distance that chance alone exceeds at a stated level, and the one that nobody cares about."""

    chance: float
    floor: float

    @property
    def value(self) -> float:
        """The distance from which a signal is said to have drifted."""
        return max(self.chance, self.floor)


def leave_one_out(weeks: Doubles, distance: Distance) -> Doubles:
    """The distance of each reference week from the others.

    Args:
        weeks: shape (weeks, resamples + 1, cells).

    Returns:
        Shape (weeks, resamples + 1).
    """
    total = weeks.sum(axis=0)
    return np.stack([distance(total - week, week) for week in weeks])


def null_limit(weeks: Doubles, distance: Distance, level: float, floor: float) -> NullLimit:
    """The limit of one signal; `level` is the share of further weeks that may exceed it without drift."""
    distances, n = leave_one_out(weeks, distance), len(weeks)
    spread = float(distances.std()) * math.sqrt(n / (n - 1) * (1 + 1 / n))
    return NullLimit(float(distances.mean()) + student_quantile(1 - level, n - 1) * spread, floor)
