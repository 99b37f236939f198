"""A circuit breaker: what is gone is not waited for by everybody. Pure; time is an argument, in seconds."""

from typing import Final, Literal

FAILURES: Final = 2
FAILING_S: Final = 0.2
"""It opens after so many failures without a success between them, over at least this long."""
PROBE_EVERY_S: Final = 0.25

State = Literal["closed", "half_open", "open"]
STATES: Final[tuple[State, ...]] = ("closed", "half_open", "open")


class Breaker:
    """Closed: all may pass. Open: nobody, but one probe every so often, and its success closes it.

    While a probe is under way it is half open. A probe that never reports is followed by the next one.
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
        self._row = 0
        self._row_since = 0.0
        self._probe_at = 0.0

    @property
    def closed(self) -> bool:
        return self.state == "closed"

    def take_probe(self, now_s: float) -> bool:
        """Whether the caller is the one to probe now; always where it is closed."""
        if self.closed:
            return True
        if now_s < self._probe_at:
            return False
        self.state = "half_open"
        self._probe_at = now_s + self._probe_every_s
        return True

    def succeeded(self) -> None:
        """Something got its answer."""
        self.state = "closed"
        self._row = 0

    def failed(self, now_s: float) -> None:
        """Something got no answer, or not in time."""
        if not self.closed:
            self.state = "open"
            return
        if self._row == 0:
            self._row_since = now_s
        self._row += 1
        if self._row >= self._failures and now_s - self._row_since >= self._failing_s:
            self.trip(now_s)

    def trip(self, now_s: float) -> None:
        """Open at once."""
        self.state = "open"
        self._row = 0
        self._probe_at = now_s + self._probe_every_s
