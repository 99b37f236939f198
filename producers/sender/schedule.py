"""The intended wall-clock time of each record, the ticks at which it is sent, and the delay between. Pure.

Open loop: a record's intended time follows from the clock's segment alone. It does not move when the sender
is late, so latency measured from it includes every stall.

What is due is handed over at ticks. Each hand-over wakes the client, the broker and every reader, so few of
them spare a busy machine; but half a tick is added to the median latency. On two cores at 300 transactions/s
a tick of 15 ms makes a p50 of 15.8 ms, one of 2 ms 6.5; at 1,000/s one of 3 ms makes a p99 of 75 ms, one of
15 ms 44. So the tick follows the rate, the cores and how late the sender itself is.
"""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Final

from fraudsim.log.clock import wall_time_ms
from fraudsim.log.events import Segment
from fraudsim.settings import Settings

LATE_US: Final = 30_000
"""A transaction handed over more than this after its intended time counts as late."""
SLEPT_US: Final = 30_000_000
"""A sender further behind than this starts a new segment, so that event time continues where it stopped."""


SHORTEST_US: Final = 2_000
LONGEST_US: Final = 15_000
STEP_US: Final = 500
HANDOVERS_PER_CORE: Final = 193.0
"""Hand-overs a second and core for which a machine that runs the whole line has time …"""
HANDOVERS_PER_TRANSACTION: Final = 0.53
"""… less this for each transaction of its rate, which takes time of its own."""
BUSY_MS: Final = 4.0
"""A tenth of a second's transactions later than this, the wait for the tick left out: the machine is busy."""
CONFLUENT_US: Final = 1_000
"""librdkafka batches in its own thread."""
GROWTH: Final = 1.5
SHRINKAGE: Final = 0.9


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


def handovers_per_s(rate: float, tick_us: int) -> float:
    """Hand-overs a second, where transactions come at random times: of the ticks in which any is due.

    >>> round(handovers_per_s(300.0, 15_000)), round(handovers_per_s(300.0, 2_000))
    (66, 226)
    """
    return -math.expm1(-rate * tick_us / 1e6) / tick_us * 1e6


def tick_for(rate: float, cores: float) -> int:
    """The shortest tick, µs, whose hand-overs the cores have time for beside the transactions.

    Args:
        rate: transactions per second of this sender.
        cores: its share of the machine's.

    >>> [tick_for(rate, 2) for rate in (50, 300, 500, 1_000)], tick_for(1_000, 4)
    ([2000, 2000, 8500, 15000], 4500)
    """
    affordable = HANDOVERS_PER_CORE * cores - HANDOVERS_PER_TRANSACTION * rate
    candidates = range(SHORTEST_US, LONGEST_US, STEP_US)
    return next((tick for tick in candidates if handovers_per_s(rate, tick) <= affordable), LONGEST_US)


def fixed_us(settings: Settings) -> int | None:
    """The tick that is not adapted, µs; None where it is."""
    if settings.tick_ms is not None:
        return 1_000 * settings.tick_ms
    return CONFLUENT_US if settings.sender == "confluent" else None


class SendTick:
    """The sender's tick, µs: fixed, or adapted second by second."""

    def __init__(self, fixed_us: int | None, cores: float) -> None:
        """Without `fixed_us` it begins with the longest, and follows the first second's rate."""
        self.us = fixed_us or LONGEST_US
        self._fixed = fixed_us is not None
        self._cores = cores
        self._stretch = 1.0
        """By how much it is longer than rate and cores alone would have it."""

    def adapt(self, rate: float | None, delay_p90_ms: float | None) -> None:
        """Choose anew by what was measured in a second or so.

        Args:
            rate: transactions per second by their intended times; None, which changes nothing, without two.
            delay_p90_ms: ninth decile of the delays of their sends.
        """
        if self._fixed or rate is None or delay_p90_ms is None:
            return
        base_us = tick_for(rate, self._cores)
        # A tick alone delays a tenth of the transactions by nine tenths of it or more.
        late_ms = delay_p90_ms - 0.9 * self.us / 1000
        if late_ms > BUSY_MS:
            self._stretch = max(self._stretch * GROWTH, self.us / base_us)
        else:
            self._stretch = max(self._stretch * SHRINKAGE, 1.0)
        self._stretch = min(self._stretch, LONGEST_US / base_us)
        self.us = round(base_us * self._stretch)


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
