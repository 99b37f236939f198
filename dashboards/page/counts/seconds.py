"""Rates and latencies by second of wall time, for plots. Pure."""

import math
from bisect import bisect_left
from collections import Counter, OrderedDict
from collections.abc import Sequence
from itertools import accumulate, chain
from typing import Final, NamedTuple

import numpy as np

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
    __slots__ = ("_are_sorted", "_latencies_ms", "decisions")

    def __init__(self) -> None:
        self.decisions = 0
        self._latencies_ms: list[float] = []
        self._are_sorted = True

    def add(self, decisions: int, latencies_ms: Sequence[float]) -> None:
        self.decisions += decisions
        self._latencies_ms += latencies_ms
        self._are_sorted = False

    def ascending(self) -> list[float]:
        if not self._are_sorted:
            self._latencies_ms.sort()
            self._are_sorted = True
        return self._latencies_ms


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

    def add(self, latencies_ms: Sequence[float]) -> None:
        """Count latencies; one below 10 us, or negative as clocks differ, counts as 10 us."""
        if not latencies_ms:
            return
        steps = np.rint(np.log(np.maximum(latencies_ms, 0.01)) / LOG_STEP)
        self._counts.update(steps.astype(np.int64).tolist())
        self._total += len(latencies_ms)
        self._max_ms = max(self._max_ms, *latencies_ms)

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
        self._recent: tuple[tuple[int, int, int], list[float]] = ((0, 0, 0), [])
        """Latencies of the latest seconds, after span, second and changes as of which it is so."""
        self._changes = 0
        """Additions to a second that was over."""
        self._counted_to = 0
        self._rows: dict[int, SecondRow] = {}
        """Rows that are made already; a late record makes its row anew."""

    def add(self, second: int, decisions: int, latencies_ms: Sequence[float]) -> None:
        """Add decisions of a second, and the latencies of those that have one."""
        self._changes += second < self._counted_to
        entry = self._open.get(second)
        if entry is None:
            entry = self._open[second] = _Open()
            while len(self._open) > KEPT_S:
                oldest = min(self._open)
                del self._open[oldest]
                self._rows.pop(oldest, None)
        entry.add(decisions, latencies_ms)
        self._rows.pop(second, None)

    def rows(self, now_s: float) -> list[SecondRow]:
        """The complete seconds before `now_s` and within `KEPT_S` of it, ascending."""
        first = int(now_s) - KEPT_S
        return [self._row(second) for second in sorted(self._open) if first <= second < int(now_s)]

    def silent_s(self, now_s: float) -> float:
        """Seconds since the latest one with a decision that is over and kept; infinite without one."""
        latest = max((second for second in self._open if second < int(now_s)), default=-math.inf)
        return now_s - latest

    def rate(self, now_s: float, span_s: int) -> float:
        """Decisions a second over the last complete seconds."""
        return sum(entry.decisions for entry in self._latest(now_s, span_s)) / span_s

    def recent_ms(self, now_s: float, span_s: int) -> list[float]:
        """Latencies of the last complete seconds, ascending."""
        self._counted_to = int(now_s)
        as_of = (span_s, self._counted_to, self._changes)
        if self._recent[0] != as_of:
            entries = self._latest(now_s, span_s)
            self._recent = as_of, sorted(chain.from_iterable(entry.ascending() for entry in entries))
        return self._recent[1]

    def _latest(self, now_s: float, span_s: int) -> list[_Open]:
        return [self._open[s] for s in range(int(now_s) - span_s, int(now_s)) if s in self._open]

    def _row(self, second: int) -> SecondRow:
        row = self._rows.get(second)
        if row is None:
            entry = self._open[second]
            ascending = entry.ascending()
            counts = [0] * (len(EDGES_MS) + 1)
            for latency in ascending:
                counts[bisect_left(EDGES_MS, latency)] += 1
            ranks = [nearest_rank(ascending, share) for share in (0.5, 0.99, 0.999)]
            p50, p99, p999 = (None if rank is None else round(rank, 2) for rank in ranks)
            row = self._rows[second] = SecondRow(second, entry.decisions, p50, p99, p999, counts)
        return row
