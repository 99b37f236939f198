"""Paired differences of turns, and the difference that so many turns can detect. Pure.

Each turn loads A and B one after the other, so what changes slowly on the machine changes both. The
logarithms of their ratio are compared with 0 by Student's t, at a level of 1 % over all figures together
(Bonferroni).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev
from typing import Final

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
        limit = student_limit(level, len(logs) - 1) * error
        differences.append(FigureDifference(figure, math.exp(fmean(logs)), math.exp(limit), len(logs)))
    return differences


def student_limit(level: float, freedom: int) -> float:
    """Two-sided quantile of Student's t, by bisection of its distribution function.

    >>> round(student_limit(0.05, 9), 3), round(student_limit(0.01, 4), 3)
    (2.262, 4.604)
    """
    low, high = 0.0, 1e4
    for _ in range(200):
        middle = (low + high) / 2
        if _student_tail(middle, freedom) > level / 2:
            low = middle
        else:
            high = middle
    return high


def _student_tail(t: float, freedom: int) -> float:
    """P(T > t), by the finite sums of Abramowitz and Stegun 26.7.3 and 26.7.4."""
    if freedom > 200:
        return 1 - NormalDist().cdf(t)
    angle = math.atan(t / math.sqrt(freedom))
    cosine, sine = math.cos(angle), math.sin(angle)
    if freedom % 2:
        term = total = cosine if freedom > 1 else 0.0
        for k in range(3, freedom - 1, 2):
            term *= (k - 1) / k * cosine**2
            total += term
        inside = 2 / math.pi * (angle + sine * total)
    else:
        term = total = 1.0
        for k in range(2, freedom - 1, 2):
            term *= (k - 1) / k * cosine**2
            total += term
        inside = sine * total
    return (1 - inside) / 2
