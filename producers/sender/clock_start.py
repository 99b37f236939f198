"""Who sets the run's clock going for a sender: the sender itself, or the process that it is a shard of."""

import time
from typing import Final, Protocol

from fraudsim.errors import FraudsimError
from fraudsim.log.clock import Clock
from fraudsim.log.clock_log import ClockLog, next_segment
from fraudsim.log.events import Segment

LEAD_MS: Final = 500
"""A new segment starts this much in the future: appending it takes some of that."""


class ClockStart(Protocol):
    """Gives a sender the segment that its records bear."""

    def start(self, first_due_ms: int, anything_there: bool) -> Segment | None:
        """Set the clock going for the first record that is missing; None where told to stop meanwhile.

        `anything_there` says whether the log holds records of the source already.
        """
        ...

    def go_on(self, event_ms: int) -> Segment:
        """Set it going again from an event time, after a sleep.

        Raises:
            SendError: not without a new start.
        """
        ...


class OwnClock:
    """The only sender of its log appends the segments itself."""

    def __init__(self, clock_log: ClockLog, source: str, start_ms: int, speed: float) -> None:
        self._clock_log = clock_log
        self._source = source
        self._start_ms = start_ms
        self._speed = speed

    def start(self, first_due_ms: int, anything_there: bool) -> Segment:
        """Raises:
        FraudsimError: the source starts before what the log has got to.
        """
        if anything_there:
            return self.go_on(first_due_ms)
        reached_ms = self._clock_log.clock.current.event_epoch_ms
        if self._start_ms < reached_ms:
            raise FraudsimError(
                f"source {self._source} starts at event time {self._start_ms}, this log has got "
                f"to {reached_ms}: start a new log for it"
            )
        return self.go_on(self._start_ms)

    def go_on(self, event_ms: int) -> Segment:
        return append_segment(self._clock_log, self._speed, event_ms)


def append_segment(clock_log: ClockLog, speed: float, event_epoch_ms: int) -> Segment:
    """Set the clock going (again) from an event time, `LEAD_MS` from now; acknowledged when this returns.

    Of two segments with one number the first stands, so a lost race is tried again.
    """
    while True:
        wall_ms = _now_us() // 1000 + LEAD_MS
        segment = next_segment(clock_log.clock, speed, event_epoch_ms, wall_ms)
        clock_log.append(segment)
        if _standing(clock_log.clock, segment.number) == segment:
            return segment


def _standing(clock: Clock, number: int) -> Segment | None:
    return next((s for s in clock.segments if s.number == number), None)


def _now_us() -> int:
    return time.time_ns() // 1000
