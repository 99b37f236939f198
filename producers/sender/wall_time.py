"""The wall clock, and whether it was set or the machine slept: it then moved apart from the steady clock."""

import time
from typing import Final

JUMP_US: Final = 5_000_000
"""Wall time by which the two clocks must part at once to count as a jump. A record may be that far ahead of
its arrival at any speed, so what a sender stamps before a smaller step is valid after it."""


def now_us() -> int:
    """Wall-clock time, µs since the epoch."""
    return time.time_ns() // 1000


def steady_us() -> int:
    """A time that nobody sets, µs. It stands still while the machine sleeps, not while the process does."""
    return time.monotonic_ns() // 1000


class JumpDetector:
    """Notices that the wall clock was set, in either direction, or that the machine slept."""

    def __init__(self) -> None:
        self._apart_us = now_us() - steady_us()

    def jumped(self) -> bool:
        """Whether the wall clock jumped since the last call; small steps and drift are followed."""
        before_us, self._apart_us = self._apart_us, now_us() - steady_us()
        return abs(self._apart_us - before_us) > JUMP_US
