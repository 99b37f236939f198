"""Paired differences of turns, and the difference that so many turns can detect. Pure.

Each turn loads A and B one after the other, so what changes slowly on the machine changes both. The
logarithms of their ratio are compared with 0 by Student's t, at a level of 1 % over all figures together
(Bonferroni).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Final

from fraudsim.student import student_quantile

FALSE_ALARMS: Final = 0.01
FIGURES: Final = ("p50_ms", "cpu_us", "p99_ms")
FEWEST_TURNS: Final = 4


@dataclass(frozen=True)
class FigureDifference:
    """How a figure of B compares with A's: a ratio above 1 is worse."""

    figure: str
    ratio: float
    """Geometric mean of B over A."""
    detectable: float
    """The ratio beyond which a difference counts, above 1."""
    turns: int

    @property
    def word(self) -> str:
        """`worse`, `better`, or `no difference` that so many turns can detect."""
        if self.ratio > self.detectable:
            return "worse"
        return "better" if self.ratio < 1 / self.detectable else "no difference"


def compare_turns(
    a: Sequence[Mapping[str, float | None]], b: Sequence[Mapping[str, float | None]]
) -> list[FigureDifference]:
    """The difference of every figure that all turns have."""
    differences = []
    level = FALSE_ALARMS / len(FIGURES)
    for figure in FIGURES:
        pairs = [(own.get(figure), other.get(figure)) for own, other in zip(a, b, strict=True)]
        logs = [math.log(y / x) for x, y in pairs if x and y]
        if len(logs) < len(pairs) or len(logs) < 2:
            continue
        error = stdev(logs) / math.sqrt(len(logs))
        limit = student_quantile(1 - level / 2, len(logs) - 1) * error
        differences.append(FigureDifference(figure, math.exp(fmean(logs)), math.exp(limit), len(logs)))
    return differences
