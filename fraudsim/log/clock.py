"""The run's clock: the only place where wall time and event time meet. Pure.

The clock is in the log (topic `run.clock`): a list of segments, each of which maps wall time to event time at
a speed. `clock_log` reads and appends the segments.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from fraudsim.errors import InvariantError
from fraudsim.log.events import Segment

MINUTE_MS = 60_000


def past_limit_ms(speed: float) -> int:
    """How far behind its arrival an event time may lie: 10 minutes, or 120 s of wall time at this speed."""
    return max(10 * MINUTE_MS, round(120_000 * speed))


def future_limit_ms(speed: float) -> int:
    """How far ahead of its arrival an event time may lie: 60 s, or 5 s of wall time at this speed."""
    return max(MINUTE_MS, round(5_000 * speed))


def horizon_ms(speed: float) -> int:
    """How far behind a key's newest event its state can be read: 2 minutes, or 30 s of wall time."""
    return max(2 * MINUTE_MS, round(30_000 * speed))


def event_time_ms(segment: Segment, wall_ms: float) -> int:
    """Event time at a wall time within a segment."""
    return segment.event_epoch_ms + int((wall_ms - segment.wall_epoch_ms) * segment.speed)


def wall_time_ms(segment: Segment, event_ms: float) -> float:
    """Wall time at which a segment reaches an event time.

    Raises:
        InvariantError: the segment's speed is 0.
    """
    if segment.speed == 0:
        raise InvariantError(
            f"segment {segment.number} of the clock stands still (speed 0): it maps to no wall time"
        )
    return segment.wall_epoch_ms + (event_ms - segment.event_epoch_ms) / segment.speed


def event_span(wall_ms: float, speed: float) -> str:
    """Event time that passes in a wall time, for people.

    >>> [event_span(25, speed) for speed in (1, 2_720, 60_000, 1e7)]
    ['25 ms', '68 s', '25 min', '69.4 h']
    """
    ms = wall_ms * speed
    if ms < 1_000:
        return f"{ms:.3g} ms"
    for unit, unit_ms in (("s", 1_000), ("min", 60_000)):
        if ms < 120 * unit_ms:
            return f"{ms / unit_ms:.3g} {unit}"
    return f"{ms / 3_600_000:,.1f} h"


def in_event_time(wall_ms: float, speed: float) -> str:
    """A latency beside the clock's speed, without which its cost to features is not seen.

    >>> in_event_time(25, 2_720)
    'at 2,720 event seconds a second 25 ms are 68 s of event time'
    """
    span = event_span(wall_ms, speed)
    return f"at {speed:,.4g} event seconds a second {wall_ms:.3g} ms are {span} of event time"


@dataclass(frozen=True)
class LoggedSegment:
    """A segment with the broker's append time of its record."""

    segment: Segment
    broker_ts_ms: int


class Clock:
    """The segments read so far, by number. Of several records with one number the first applies."""

    def __init__(self, segments: Iterable[LoggedSegment] = ()) -> None:
        self._by_number: dict[int, LoggedSegment] = {}
        for logged in segments:
            self.add(logged)

    def add(self, logged: LoggedSegment) -> None:
        self._by_number.setdefault(logged.segment.number, logged)

    def __bool__(self) -> bool:
        return bool(self._by_number)

    @property
    def first(self) -> Segment:
        """The segment that names the log and its history."""
        return self._by_number[min(self._by_number)].segment

    @property
    def current(self) -> Segment:
        """The newest segment."""
        return self._by_number[max(self._by_number)].segment

    @property
    def segments(self) -> list[Segment]:
        return [self._by_number[n].segment for n in sorted(self._by_number)]

    @property
    def log_id(self) -> str:
        return self.first.log_id

    @property
    def horizon_ms(self) -> int:
        return self.first.horizon_ms

    def __contains__(self, number: int) -> bool:
        """Whether a segment of that number has been read."""
        return number in self._by_number

    def segment(self, number: int, broker_ts_ms: int) -> Segment | None:
        """The segment of that number, if it was in the log before a record of that broker timestamp."""
        logged = self._by_number.get(number)
        if logged is None or logged.broker_ts_ms > broker_ts_ms:
            return None
        return logged.segment

    def latest_ms(self, broker_ts_ms: int) -> int | None:
        """The latest event time that a record of that broker time can bear; None before the first segment.

        It may have been made in the segment in force or in the one before.
        """
        in_force = [s for _, s in sorted(self._by_number.items()) if s.broker_ts_ms <= broker_ts_ms][-2:]
        return max(
            (event_time_ms(s.segment, broker_ts_ms) + s.segment.future_ms for s in in_force), default=None
        )

    def now_ms(self, wall_ms: float) -> int:
        """Event time at a wall time, by the newest segment."""
        return event_time_ms(self.current, wall_ms)
