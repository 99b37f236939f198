"""Rates and latencies by second of wall time, for plots. Pure."""

import math
from bisect import bisect_left
from collections import Counter, OrderedDict
from collections.abc import Sequence
from itertools import accumulate
from typing import Final, NamedTuple

KEPT_S: Final = 120
"""Seconds that are kept."""
EDGES_MS: Final = (2, 4, 6, 8, 10, 13, 16, 20, 25, 32, 40, 50, 75, 100, 200, 500, 1000)
"""Upper edges of the heat map's rows; one more row is for what is above."""


PERCENTILES: Final = {"p50": 0.5, "p99": 0.99, "p999": 0.999}
LOG_STEP: Final = math.log(1.005)


class SecondRow(NamedTuple):
    """The decisions that were appended to the log in one second."""

    second: int
    """Unix time."""
    decisions: int
    p50_ms: float | None
    p99_ms: float | None
    p999_ms: float | None
    counts: list[int]
    """Decisions by row of the heat map."""


class _Open:
    __slots__ = ("decisions", "latencies_ms")

    def __init__(self) -> None:
        self.decisions = 0
        self.latencies_ms: list[float] = []


def nearest_rank(ascending: Sequence[float], share: float) -> float | None:
    """The smallest value that at least this share of the values does not exceed; None of none.

    >>> nearest_rank([1.0, 2.0, 3.0], 0.5)
    2.0
    """
    if not ascending:
        return None
    return ascending[max(0, min(len(ascending) - 1, -(-int(len(ascending) * share * 1000) // 1000) - 1))]


class RunLatencies:
    """Latencies of a whole run, by steps of 0.5 %; a percentile of it is cheaper than of an HDR histogram."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._total = 0
        self._max_ms = 0.0

    def add(self, latency_ms: float) -> None:
        """Count a latency; below 10 us, or negative as clocks differ, it counts as 10 us."""
        self._counts[round(math.log(max(latency_ms, 0.01)) / LOG_STEP)] += 1
        self._total += 1
        self._max_ms = max(self._max_ms, latency_ms)

    def percentiles(self) -> dict[str, float | None]:
        """p50, p99, p999 and max by nearest rank, within half a step; the maximum is exact."""
        if not self._total:
            return dict.fromkeys((*PERCENTILES, "max"))
        steps = sorted(self._counts.items())
        cumulative = list(accumulate(count for _, count in steps))
        by_name: dict[str, float | None] = {"max": round(self._max_ms, 3)}
        for name, share in PERCENTILES.items():
            index = bisect_left(cumulative, math.ceil(round(self._total * share, 6)))
            by_name[name] = round(math.exp(steps[index][0] * LOG_STEP), 3)
        return by_name


class Seconds:
    """The latest seconds, by the broker's append time."""

    def __init__(self) -> None:
        self._open: OrderedDict[int, _Open] = OrderedDict()
        self._recent: dict[int, tuple[int, int, float, list[float]]] = {}
        """By span, the second and the changes as of which it was counted."""
        self._changes = 0
        """Records that came for a second that was over."""
        self._counted_to = 0
        self._rows: dict[int, SecondRow] = {}
        """Rows that are made already; a late record makes its row anew."""

    def add(self, broker_ts_ms: int, latency_ms: float | None) -> None:
        """Add a decision; `latency_ms` is None where nobody knows when it was to be sent."""
        second = broker_ts_ms // 1000
        self._changes += second < self._counted_to
        entry = self._open.get(second)
        if entry is None:
            entry = self._open[second] = _Open()
            while len(self._open) > KEPT_S:
                oldest = min(self._open)
                del self._open[oldest]
                self._rows.pop(oldest, None)
        entry.decisions += 1
        if latency_ms is not None:
            entry.latencies_ms.append(latency_ms)
        self._rows.pop(second, None)

    def rows(self, now_s: float) -> list[SecondRow]:
        """The complete seconds before `now_s` and within `KEPT_S` of it, ascending."""
        first = int(now_s) - KEPT_S
        return [self._row(second) for second in sorted(self._open) if first <= second < int(now_s)]

    def recent(self, now_s: float, span_s: int) -> tuple[float, list[float]]:
        """Decisions a second over the last complete seconds, and their latencies in ms, ascending."""
        last = self._counted_to = int(now_s)
        if self._recent.get(span_s, (0, 0))[:2] != (last, self._changes):
            self._recent[span_s] = (last, self._changes, *self._count_recent(last, span_s))
        return self._recent[span_s][2:]

    def _count_recent(self, last: int, span_s: int) -> tuple[float, list[float]]:
        entries = [self._open[s] for s in range(last - span_s, last) if s in self._open]
        latencies = sorted(latency for entry in entries for latency in entry.latencies_ms)
        return sum(entry.decisions for entry in entries) / span_s, latencies

    def _row(self, second: int) -> SecondRow:
        row = self._rows.get(second)
        if row is None:
            entry = self._open[second]
            ascending = sorted(entry.latencies_ms)
            counts = [0] * (len(EDGES_MS) + 1)
            for latency in ascending:
                counts[bisect_left(EDGES_MS, latency)] += 1
            ranks = [nearest_rank(ascending, share) for share in (0.5, 0.99, 0.999)]
            p50, p99, p999 = (None if rank is None else round(rank, 2) for rank in ranks)
            row = self._rows[second] = SecondRow(second, entry.decisions, p50, p99, p999, counts)
        return row
