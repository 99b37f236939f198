"""Paired comparison of two scorings by average precision: bootstrap over cards. Pure.

Cards are drawn, not transactions, since the frauds of one card come and are caught together; both scorings
are measured on the same draws, so what makes one draw harder than another cancels out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fraudsim.arrays import Doubles, Flags, Floats, Ints

RESAMPLES: Final = 300
LOW, HIGH = 0.05, 0.95
"""Quantiles of the 90 % intervals."""


@dataclass(frozen=True, eq=False)
class ScoredTest:
    """The test of one fold, with the scores of two trainings; arrays have shape (n,)."""

    card: Ints
    is_fraud: Flags
    scores: Floats
    baseline: Floats


@dataclass(frozen=True)
class PairedDifference:
    """Average precision, and how much of it is more than the baseline's; means over the folds."""

    average_precision: float
    baseline: float
    difference: float
    low: float
    high: float
    """90 % interval of the difference."""


class WeightedRanking:
    """The order of scores, for average precision under many weightings of the same rows."""

    def __init__(self, is_fraud: Flags, scores: npt.NDArray[Any]) -> None:
        self._order = np.argsort(-scores, kind="stable")
        ranked = scores[self._order]
        self._fraud = is_fraud[self._order].astype(np.float64)
        # Rows of one score are one step, as in scikit-learn.
        self._ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)

    def average_precision(self, weight: Doubles) -> float:
        """Mean precision over the recall steps, weighted; nan if no fraud has weight."""
        ranked = weight[self._order]
        everything = np.cumsum(ranked)[self._ends]
        frauds = np.cumsum(ranked * self._fraud)[self._ends]
        if frauds[-1] <= 0:
            return float("nan")
        steps = np.diff(frauds, prepend=0.0)
        hit = steps > 0
        return float((steps[hit] * frauds[hit] / everything[hit]).sum() / frauds[-1])


def paired_difference(tests: Sequence[ScoredTest], seed: int, resamples: int = RESAMPLES) -> PairedDifference:
    """The difference over the folds of one world, whose cards are the same; Poisson bootstrap."""
    generator = np.random.default_rng(seed)
    cards = 1 + max(int(test.card.max(initial=0)) for test in tests)
    rankings = [
        tuple(WeightedRanking(test.is_fraud, scores) for scores in (test.scores, test.baseline))
        for test in tests
    ]

    def mean_aps(card_weight: Doubles) -> tuple[float, float]:
        aps = [
            [ranking.average_precision(card_weight[test.card]) for ranking in pair]
            for test, pair in zip(tests, rankings, strict=True)
        ]
        own, baseline = np.mean(aps, axis=0)
        return float(own), float(baseline)

    own, baseline = mean_aps(np.ones(cards))
    draws = []
    for _ in range(resamples):
        first, second = mean_aps(generator.poisson(1.0, cards).astype(np.float64))
        draws.append(first - second)
    low, high = np.nanquantile(draws, [LOW, HIGH])
    return PairedDifference(own, baseline, own - baseline, float(low), float(high))
