"""Intervals of quantiles by batch means: misses come in clusters, so requests are not independent.

The share of requests above a latency is a mean of zeros and ones. Its variance is taken from the shares of
batches (seconds, groups of seconds, restarts), the largest of these; what that leaves is the effective
sample: the number of independent requests that would be as uncertain (Law, Simulation Modeling and Analysis,
9.5.3; the quantile's interval by order statistics: Hahn and Meeker, Statistical Intervals, 5.2).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from fraudsim.arrays import Doubles, Flags, Ints
from fraudsim.student import student_quantile

CONFIDENCE: Final = 0.95
BATCH_LENGTHS_S: Final = (1, 2, 5)
FEWEST_ROUNDS: Final = 3
FEWEST_BATCHES: Final = 10
"""Batches of seconds; fewer say too little of their variance."""


@dataclass(frozen=True)
class QuantileInterval:
    """A quantile with what can be said of it."""

    value_ms: float
    low_ms: float
    high_ms: float | None
    """None: the sample does not bound it from above."""
    effective: float
    """Effective sample size."""
    batches: int
    bears: bool
    """Whether the effective sample bears the quantile: whether a bound from above exists at all."""


def fewest_requests(q: float) -> int:
    """Independent requests from which the largest lies above the quantile with 95 % confidence.

    >>> fewest_requests(0.99), fewest_requests(0.999)
    (299, 2995)
    """
    return math.ceil(math.log(1 - CONFIDENCE) / math.log(q))


def batch_groupings(intended_us: Ints, rounds: Ints) -> list[Ints]:
    """Batch numbers of each request under every usable grouping.

    Args:
        intended_us: intended times.
        rounds: the number of the restart after which each request was sent.
    """
    seconds = (intended_us - intended_us.min()) // 1_000_000 if len(intended_us) else intended_us
    groupings = []
    for length in BATCH_LENGTHS_S:
        batches = seconds // length
        if len(np.unique(batches)) >= FEWEST_BATCHES:
            groupings.append(batches)
    if len(np.unique(rounds)) >= FEWEST_ROUNDS:
        groupings.append(rounds)
    return groupings


def effective_sample(above: Flags, groupings: Sequence[Ints]) -> tuple[float, int]:
    """Effective sample size of a share, and the number of batches of the grouping that gave it."""
    count = len(above)
    share = float(above.mean()) if count else 0.0
    if share in (0.0, 1.0) or not groupings:
        return float(count), 0
    effective, batches = float(count), 0
    for grouping in groupings:
        _, index = np.unique(grouping, return_inverse=True)
        sizes = np.bincount(index)
        misses = np.bincount(index, weights=above)
        number = len(sizes)
        variance = float(((misses - share * sizes) ** 2).sum()) / count**2 * number / (number - 1)
        candidate = share * (1 - share) / variance if variance > 0 else float(count)
        if candidate < effective:
            effective, batches = candidate, number
    return effective, batches


def quantile_interval(latencies_ms: Doubles, q: float, groupings: Sequence[Ints]) -> QuantileInterval | None:
    """The interval of a quantile; None without latencies.

    Args:
        latencies_ms: of every request, infinite where there was no good answer.
    """
    count = len(latencies_ms)
    if not count:
        return None
    ordered = np.sort(latencies_ms)
    value = float(ordered[max(1, int(q * count + 0.5)) - 1])  # the rank that HdrHistogram takes
    effective, batches = effective_sample(latencies_ms > value, groupings)
    degrees = max(1, batches - 1 if batches else count)
    spread = student_quantile((1 + CONFIDENCE) / 2, degrees) * math.sqrt(q * (1 - q) / max(effective, 1.0))
    low = float(ordered[max(0, math.floor((q - spread) * count) - 1)]) if q > spread else float(ordered[0])
    high_rank = math.ceil((q + spread) * count)
    high = float(ordered[high_rank - 1]) if high_rank <= count else math.inf
    return QuantileInterval(
        value_ms=value,
        low_ms=low,
        high_ms=high if math.isfinite(high) else None,
        effective=effective,
        batches=batches,
        bears=effective >= fewest_requests(q) and math.isfinite(value),
    )
