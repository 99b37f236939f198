"""How often the sender hands over what is due: by rate, cores, and how late it is itself. Pure.

Each hand-over wakes the client, the broker and every reader, so few of them spare a busy machine; but half a
tick is added to the latency of every transaction. On two cores at 300 transactions/s a tick of 15 ms makes a
p50 of 15.8 ms, one of 2 ms 6.5; at 1,000/s one of 3 ms makes a p99 of 75 ms, one of 15 ms 44.
"""

import math
from typing import Final

from fraudsim.settings import Settings
from producers.sender.schedule_monitor import ScheduleWindow

SHORTEST_US: Final = 2_000
LONGEST_US: Final = 15_000
STEP_US: Final = 500
HANDOVERS_PER_CORE: Final = 193.0
"""Hand-overs a second and core for which a machine that runs the whole line has time …"""
HANDOVERS_PER_TRANSACTION: Final = 0.53
"""… less this for each transaction of its rate, which takes time of its own."""
LATE_MS: Final = 4.0
"""A tenth of a second's transactions later than this, the wait for the tick left out: the machine is busy."""
CONFLUENT_US: Final = 1_000
"""librdkafka batches in its own thread."""
GROWTH: Final = 1.5
SHRINKAGE: Final = 0.9


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

    def adapt(self, window: ScheduleWindow) -> None:
        """Choose anew by what a window of sends measured; one with fewer than two sends changes nothing."""
        if self._fixed or window.intended_per_s is None or window.delay_p90_ms is None:
            return
        base_us = tick_for(window.intended_per_s, self._cores)
        # A tick alone delays a tenth of the transactions by nine tenths of it or more.
        late_ms = window.delay_p90_ms - 0.9 * self.us / 1000
        if late_ms > LATE_MS:
            self._stretch = max(self._stretch * GROWTH, self.us / base_us)
        else:
            self._stretch = max(self._stretch * SHRINKAGE, 1.0)
        self._stretch = min(self._stretch, LONGEST_US / base_us)
        self.us = round(base_us * self._stretch)
