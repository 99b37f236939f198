"""A circuit breaker: while a service is away, only probes wait for it. Pure; takes the time in seconds."""

from typing import Final, Literal

FAILURES: Final = 2
FAILING_S: Final = 0.2
"""The breaker opens after FAILURES failures in a row that span at least this time."""
PROBE_EVERY_S: Final = 0.25

State = Literal["closed", "half_open", "open"]
STATES: Final[tuple[State, ...]] = ("closed", "half_open", "open")


class Breaker:
    """Closed: every call passes. Open: only one probe per `probe_every_s` passes; its success closes it.

    The breaker is half open while a probe is under way. A probe that never reports is followed by the next.
    """

    def __init__(
        self,
        failures: int = FAILURES,
        failing_s: float = FAILING_S,
        probe_every_s: float = PROBE_EVERY_S,
    ) -> None:
        self.state: State = "closed"
        self._failures = failures
        self._failing_s = failing_s
        self._probe_every_s = probe_every_s
        self._failure_count = 0
        self._first_failure_s = 0.0
        self._next_probe_s = 0.0

    @property
    def closed(self) -> bool:
        return self.state == "closed"

    def take_probe(self, now_s: float) -> bool:
        """Whether the caller may probe now; always True where the breaker is closed."""
        if self.closed:
            return True
        if now_s < self._next_probe_s:
            return False
        self.state = "half_open"
        self._next_probe_s = now_s + self._probe_every_s
        return True

    def record_success(self) -> None:
        """Close the breaker."""
        self.state = "closed"
        self._failure_count = 0

    def record_failure(self, now_s: float) -> None:
        """Count a call without an answer, or with a late one."""
        if not self.closed:
            self.state = "open"
            return
        if self._failure_count == 0:
            self._first_failure_s = now_s
        self._failure_count += 1
        if self._failure_count >= self._failures and now_s - self._first_failure_s >= self._failing_s:
            self.trip(now_s)

    def trip(self, now_s: float) -> None:
        """Open at once."""
        self.state = "open"
        self._failure_count = 0
        self._next_probe_s = now_s + self._probe_every_s
