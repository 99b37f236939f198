"""How a sender gets the clock segment of its records: it or its coordinator appends the segment."""

from typing import Final, Protocol

from fraudsim.errors import FraudsimError
from fraudsim.log.clock import Clock
from fraudsim.log.clock_log import ClockLog, next_segment
from fraudsim.log.events import Segment
from producers.sender import wall_time
from producers.sender.log_ends import last_answered_ms
from producers.sources.source import Source

CHANGE_LEAD_MS: Final = 100
"""The same for a change of speed: what is due meanwhile is sent when the segment starts."""
LEAD_MS: Final = 500
"""A new segment starts this far in the future, because appending it takes a part of that time."""


class ClockStarter(Protocol):
    """Gives a sender the segment that its records bear."""

    def start(self, first_due_ms: int, has_records: bool) -> Segment | None:
        """Start the clock for the first missing record; None if the sender is stopped meanwhile.

        Event time never goes back behind what HTTP has answered while the source was not sent.

        Args:
            first_due_ms: event time of that record.
            has_records: whether the log holds records of the source already.
        """
        ...

    def restart(self, event_ms: int) -> Segment:
        """Start the clock again from an event time, after the wall clock jumped.

        Raises:
            SendError: only a new start of the process can do this.
        """
        ...

    def change_speed(self, share: float, first_due_ms: int) -> Segment:
        """Let event time run on at this share of the plan's speed; at 0 it stands still.

        Raises:
            SendError: this sender's speed cannot be changed.
        """
        ...


class DirectClockStarter:
    """Appends the segments itself: for the only sender of its log. A `ClockStarter`."""

    def __init__(self, clock_log: ClockLog, source: Source, speed: float, share: float = 1.0) -> None:
        """The clock runs at `share` of the speed until that is changed."""
        self._clock_log = clock_log
        self._source = source
        self._full_speed = speed
        self._speed = speed * share

    def start(self, first_due_ms: int, has_records: bool) -> Segment:
        """Raises:
        FraudsimError: the source starts before the event time that the log has reached.
        """
        if not has_records:
            first_due_ms = self._source.start_ms
            reached_ms = self._clock_log.clock.current.event_epoch_ms
            if first_due_ms < reached_ms:
                raise FraudsimError(
                    f"source {self._source.name} starts at event time {first_due_ms}, but this log has "
                    f"reached {reached_ms}: start a new log for it"
                )
        self._clock_log.refresh()
        answered = last_answered_ms(self._clock_log) > first_due_ms
        return append_segment(self._clock_log, self._speed, first_due_ms, runs_on=answered)

    def restart(self, event_ms: int) -> Segment:
        return append_segment(self._clock_log, self._speed, event_ms)

    def change_speed(self, share: float, first_due_ms: int) -> Segment:
        speed = self._full_speed * share
        self._speed = speed or self._speed
        return append_segment(self._clock_log, speed, first_due_ms, runs_on=True, lead_ms=CHANGE_LEAD_MS)


def append_segment(
    clock_log: ClockLog, speed: float, first_due_ms: int, runs_on: bool = False, lead_ms: int = LEAD_MS
) -> Segment:
    """Append a segment that starts `lead_ms` from now; acknowledged on return.

    Of two segments with one number the first is valid, so a lost race is tried again.

    Args:
        first_due_ms: event time of the first record that will be sent in it. It starts there …
        runs_on: … or where the running segment will then be, if that is later. Records due before that are
            valid in it, however far they are behind.
    """
    while True:
        wall_ms = wall_time.now_us() // 1000 + lead_ms
        start_ms = max(first_due_ms, clock_log.clock.now_ms(wall_ms)) if runs_on else first_due_ms
        segment = next_segment(clock_log.clock, speed, start_ms, wall_ms, start_ms - first_due_ms)
        clock_log.append(segment)
        if _valid_segment(clock_log.clock, segment.number) == segment:
            return segment


def _valid_segment(clock: Clock, number: int) -> Segment | None:
    return next((segment for segment in clock.segments if segment.number == number), None)
