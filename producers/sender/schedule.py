"""When each record is due on the wall, and how far behind that the sender was. Pure.

Open loop: the intended time of a record follows from the clock's segment alone, so it never moves with how
late the sender is, and latency measured from it includes every stall.
"""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Final

from fraudsim.log.clock import wall_time_ms
from fraudsim.log.events import Segment
from fraudsim.settings import Settings

TICKS_MS: Final = {"kafka-python": 15, "confluent": 1}
"""Due transactions are handed over together at multiples of this, where FRAUDSIM_TICK_MS does not say.
kafka-python, the broker and the scorer pay per wake-up: at 1,000 transactions/s the sender took 42, 30 and
22 % of a core in ticks of 5, 10 and 15 ms (`fraudsim bench sender`). librdkafka gathers in its own thread."""
LATE_US: Final = 30_000
"""A transaction handed over more than this behind its intended time is reported as late."""
SLEPT_US: Final = 30_000_000
"""Further behind than this, event time goes on where it stopped, in a new segment."""


def intended_us(segment: Segment, due_ms: float) -> int:
    """Wall-clock time (µs since the epoch) at which a running segment reaches an event time.

    Raises:
        InvariantError: the segment stands still.
    """
    return round(wall_time_ms(segment, due_ms) * 1000)


def tick_us(settings: Settings) -> int:
    """Microseconds between two times at which transactions are handed over."""
    return 1000 * (settings.tick_ms or TICKS_MS[settings.sender])


def next_tick_us(time_us: int, tick_us: int) -> int:
    """The first tick at or after a time.

    >>> next_tick_us(7_000, 3_000), next_tick_us(9_000, 3_000)
    (9000, 9000)
    """
    return -(-time_us // tick_us) * tick_us


def end_ms(start_ms: int, speed: float, seconds: float | None) -> float:
    """Event time before which the live stream ends: the same for a sender that was killed and restarted."""
    return math.inf if seconds is None else start_ms + seconds * speed * 1000


class Delays:
    """Hand-over minus intended time, counted in buckets of three significant digits (within 1 %)."""

    def __init__(self, counts: Mapping[int, int] | None = None) -> None:
        self.counts: Counter[int] = Counter(counts or {})

    def add(self, delay_us: int) -> None:
        delay_us = max(delay_us, 0)
        if delay_us >= 1000:
            unit: int = 10 ** (len(str(delay_us)) - 3)
            delay_us -= delay_us % unit
        self.counts[delay_us] += 1

    def take_in(self, others: Mapping[int, int]) -> None:
        """Count what was counted elsewhere."""
        self.counts.update(others)

    def quantile_ms(self, q: float) -> float | None:
        """The smallest delay that a share `q` of the sends did not exceed, ms; None if there was none."""
        rank = math.ceil(q * self.counts.total())
        seen = 0
        for delay_us in sorted(self.counts):
            seen += self.counts[delay_us]
            if seen >= rank:
                return delay_us / 1000
        return None

    def over(self, limit_us: int) -> int:
        """How many were more than `limit_us` behind (to the bucket)."""
        return sum(count for delay_us, count in self.counts.items() if delay_us > limit_us)
