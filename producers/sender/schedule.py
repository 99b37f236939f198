"""The intended wall-clock time of each record, and the delays of sending against it. Pure.

Open loop: a record's intended time follows from the clock's segment alone. It does not move when the sender
is late, so latency measured from it includes every stall.
"""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Final

from fraudsim.log.clock import wall_time_ms
from fraudsim.log.events import Segment

LATE_US: Final = 30_000
"""A transaction handed over more than this after its intended time counts as late."""
SLEPT_US: Final = 30_000_000
"""A sender further behind than this starts a new segment, so that event time continues where it stopped."""


def intended_us(segment: Segment, due_ms: float) -> int:
    """Wall-clock time (µs since the epoch) at which a running segment reaches an event time.

    What was due before the segment starts is intended at its start: it could not be sent earlier.

    Raises:
        InvariantError: the segment stands still.
    """
    return round(wall_time_ms(segment, max(due_ms, segment.event_epoch_ms)) * 1000)


def next_tick_us(time_us: int, tick_us: int) -> int:
    """The first tick at or after a time.

    >>> next_tick_us(7_000, 3_000), next_tick_us(9_000, 3_000)
    (9000, 9000)
    """
    return -(-time_us // tick_us) * tick_us


def end_ms(start_ms: int, speed: float, seconds: float | None) -> float:
    """Event time at which the live stream ends (exclusive), the same after every restart of the sender."""
    return math.inf if seconds is None else start_ms + seconds * speed * 1000


class DelayHistogram:
    """Hand-over minus intended time, µs, counted in buckets of three significant digits (within 1 %)."""

    def __init__(self, counts: Mapping[int, int] | None = None) -> None:
        self.counts: Counter[int] = Counter(counts or {})

    def add(self, delay_us: int) -> None:
        delay_us = max(delay_us, 0)
        if delay_us >= 1000:
            unit: int = 10 ** (len(str(delay_us)) - 3)
            delay_us -= delay_us % unit
        self.counts[delay_us] += 1

    def merge(self, counts: Mapping[int, int]) -> None:
        """Add the counts of another histogram."""
        self.counts.update(counts)

    def quantile_ms(self, q: float) -> float | None:
        """The smallest delay, ms, that a share `q` of the sends did not exceed; None without sends."""
        rank = math.ceil(q * self.counts.total())
        cumulative = 0
        for delay_us in sorted(self.counts):
            cumulative += self.counts[delay_us]
            if cumulative >= rank:
                return delay_us / 1000
        return None

    def over(self, limit_us: int) -> int:
        """How many sends were delayed more than `limit_us`, to the bucket."""
        return sum(count for delay_us, count in self.counts.items() if delay_us > limit_us)
