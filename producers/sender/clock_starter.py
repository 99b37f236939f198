"""How a sender gets the clock segment of its records: it or its coordinator appends the segment."""

import time
from typing import Final, Protocol

from fraudsim.errors import FraudsimError
from fraudsim.log.clock import Clock
from fraudsim.log.clock_log import ClockLog, next_segment
from fraudsim.log.events import Segment

LEAD_MS: Final = 500
"""A new segment starts this far in the future, because appending it takes a part of that time."""


class ClockStarter(Protocol):
    """Gives a sender the segment that its records bear."""

    def start(self, first_due_ms: int, has_records: bool) -> Segment | None:
        """Start the clock for the first missing record; None if the sender is stopped meanwhile.

        Args:
            first_due_ms: event time of that record.
            has_records: whether the log holds records of the source already.
        """
        ...

    def restart(self, event_ms: int) -> Segment:
        """Start the clock again from an event time, after the machine slept.

        Raises:
            SendError: only a new start of the process can do this.
        """
        ...


class DirectClockStarter:
    """Appends the segments itself: for the only sender of its log. A `ClockStarter`."""

    def __init__(self, clock_log: ClockLog, source: str, start_ms: int, speed: float) -> None:
        self._clock_log = clock_log
        self._source = source
        self._start_ms = start_ms
        self._speed = speed

    def start(self, first_due_ms: int, has_records: bool) -> Segment:
        """Raises:
        FraudsimError: the source starts before the event time that the log has reached.
        """
        if has_records:
            return self.restart(first_due_ms)
        reached_ms = self._clock_log.clock.current.event_epoch_ms
        if self._start_ms < reached_ms:
            raise FraudsimError(
                f"source {self._source} starts at event time {self._start_ms}, but this log has reached "
                f"{reached_ms}: start a new log for it"
            )
        return self.restart(self._start_ms)

    def restart(self, event_ms: int) -> Segment:
        return append_segment(self._clock_log, self._speed, event_ms)


def append_segment(clock_log: ClockLog, speed: float, event_epoch_ms: int) -> Segment:
    """Append a segment that starts at an event time, `LEAD_MS` from now; acknowledged on return.

    Of two segments with one number the first is valid, so a lost race is tried again.
    """
    while True:
        wall_ms = _now_us() // 1000 + LEAD_MS
        segment = next_segment(clock_log.clock, speed, event_epoch_ms, wall_ms)
        clock_log.append(segment)
        if _valid_segment(clock_log.clock, segment.number) == segment:
            return segment


def _valid_segment(clock: Clock, number: int) -> Segment | None:
    return next((segment for segment in clock.segments if segment.number == number), None)


def _now_us() -> int:
    return time.time_ns() // 1000
