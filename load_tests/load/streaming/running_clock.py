"""The line's clock for a sender that joins it."""

from fraudsim.log.events import Segment
from producers.outbox.outbox import SendError


class RunningClock:
    """The clock that another sender keeps; a `ClockStarter` that appends nothing."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment

    def start(self, first_due_ms: int, has_records: bool) -> Segment | None:
        """The running segment; None, which ends the sender, if it is too far behind to catch up."""
        return self._segment if not has_records else None

    def restart(self, event_ms: int) -> Segment:
        """Raises SendError: only the line's own producer may set its clock."""
        raise SendError("the wall clock jumped, or the machine slept: run the load again")

    def change_speed(self, share: float, first_due_ms: int) -> Segment:
        """Raises SendError: only the line's own producer may set its clock."""
        raise SendError("only the line's own producer changes the clock's speed")
