"""Percentiles of latencies: exact for a list of values, within 1 % for a run of any length."""

import math
from bisect import bisect_right
from collections import deque
from itertools import accumulate
from typing import Final

import numpy as np
import numpy.typing as npt
from hdrh.histogram import HdrHistogram

PERCENTILES: Final = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p999": 99.9, "max": 100.0}
LONGEST_US: Final = 3_600_000_000
"""Longer latencies count as an hour; the maximum stays exact."""
RECENT: Final = 20_000
"""Number of latest latencies that are kept exactly, for the live figures."""


class Latencies:
    """Latencies of a run in bounded memory: a histogram of three digits, and the latest ones exactly."""

    def __init__(self) -> None:
        self.recent_ms: deque[float] = deque(maxlen=RECENT)
        self._histogram = HdrHistogram(1, LONGEST_US, 3)
        self._max_ms = 0.0

    def add(self, latency_ms: float) -> None:
        """Count a latency; a negative one, from clocks that differ, counts as 0."""
        self.recent_ms.append(latency_ms)
        self._histogram.record_value(min(max(round(latency_ms * 1000), 0), LONGEST_US))
        self._max_ms = max(self._max_ms, latency_ms)

    def percentiles(self) -> dict[str, float | None]:
        """The same as the function `percentiles` of all values in ms, within 1 %; the maximum is exact."""
        steps = [
            (step.value_iterated_to, step.count_added_in_this_iter_step)
            for step in self._histogram.get_recorded_iterator()
        ]
        if not steps:
            return dict.fromkeys(PERCENTILES)
        cumulative_counts = list(accumulate(count for _, count in steps))

        def ranked_ms(rank: int) -> float:
            return steps[bisect_right(cumulative_counts, rank)][0] / 1000

        def interpolated_ms(q: float) -> float:
            rank = (cumulative_counts[-1] - 1) * q / 100
            below, above = ranked_ms(math.floor(rank)), ranked_ms(math.ceil(rank))
            return below + (above - below) * (rank % 1)

        by_name: dict[str, float | None] = {
            name: round(interpolated_ms(q), 3) for name, q in PERCENTILES.items()
        }
        return {**by_name, "max": round(self._max_ms, 3)}


def percentiles(values: list[float] | npt.NDArray[np.float64]) -> dict[str, float | None]:
    """p50, p90, p99, p999 and max, rounded to 3 decimals; None for each if there are no values."""
    if len(values) == 0:
        return dict.fromkeys(PERCENTILES)
    array = np.asarray(values, dtype=np.float64)
    return {name: round(float(np.percentile(array, q)), 3) for name, q in PERCENTILES.items()}
