"""What the sender hands its records to, and which Kafka client stands behind it."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import Any, Final, Protocol

from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings, variable
from producers.sender.resume import MAX_OUTSTANDING

DELIVERY_TIMEOUT_MS: Final = 90_000
"""Under the 120 s of wall time within which a late record still counts: what is given up is sent again."""
ROOM_S: Final = 1.0
"""A sender that waits for room looks up this often."""


class SendError(Exception):
    """A record was not acknowledged. The process must end; its successor finds what is missing."""


class Outbox(Protocol):
    """An idempotent producer, acks=all, with few records outstanding, none lost silently."""

    @property
    def outstanding(self) -> int:
        """Records handed over since the oldest one that is not acknowledged yet.

        Not a count of those without acknowledgement: one partition may be stuck while others go on, and a
        restart finds what is missing only within a bounded stretch of the sequence.
        """
        ...

    def hand_over(self, topic: str, key: str, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        """Give a record to the client's own thread; it may batch it with others.

        Raises:
            SendError: the client takes no more records.
        """
        ...

    def wait_for_room(self, timeout_s: float = ROOM_S) -> bool:
        """Back-pressure: whether fewer than the bound are outstanding, within `timeout_s` seconds.

        Raises:
            SendError: a record was not acknowledged.
        """
        ...

    def check(self) -> None:
        """Raises:
        SendError: a record was not acknowledged.
        """
        ...

    def flush(self, timeout_s: float = DELIVERY_TIMEOUT_MS / 1000) -> None:
        """Wait until everything handed over is acknowledged.

        Raises:
            SendError: something is not, within the time.
        """
        ...

    def close(self, timeout_s: float = 5.0) -> None:
        """Close the connections; with 0, whatever is outstanding is given up."""
        ...


class BoundedOutbox(ABC):
    """What outboxes share: the records under way, the bound on them, and the first failure."""

    look_s: float
    """How long to serve the client before looking for room again."""

    def __init__(self, max_outstanding: int) -> None:
        self._max_outstanding = max_outstanding
        self._waiting: deque[Any] = deque()
        """Handed over, in order, each with `is_done`; the first is not acknowledged, as far as is known."""
        self._failure: str | None = None

    @abstractmethod
    def _serve(self, wait_s: float) -> None:
        """Let the client take in acknowledgements, for up to so long."""

    @property
    def outstanding(self) -> int:
        self._serve(0)
        waiting = self._waiting
        while waiting and waiting[0].is_done:
            waiting.popleft()
        return len(waiting)

    def _on_failure(self, error: object) -> None:
        if self._failure is None:
            self._failure = str(error)

    def check(self) -> None:
        self._serve(0)
        if self._failure is not None:
            raise SendError(f"Kafka did not take a record: {self._failure}")

    def wait_for_room(self, timeout_s: float = ROOM_S) -> bool:
        if self.outstanding < self._max_outstanding:
            return True
        deadline = monotonic() + timeout_s
        while self.outstanding >= self._max_outstanding:
            self.check()
            if monotonic() > deadline:
                return False
            self._serve(self.look_s)
        return True


def open_outbox(
    settings: Settings,
    topics: Sequence[str],
    *,
    max_outstanding: int = MAX_OUTSTANDING,
    delivery_timeout_ms: int = DELIVERY_TIMEOUT_MS,
) -> Outbox:
    """The outbox that the settings name, connected, and knowing where `topics` are.

    Raises:
        FraudsimError: it needs a package that is not installed.
    """
    if settings.sender == "confluent":
        try:
            from producers.sender.confluent_outbox import ConfluentOutbox
        except ModuleNotFoundError as error:
            raise FraudsimError(
                f"setting {variable('sender')}=confluent needs {error.name}: pip install 'fraudsim[load]'"
            ) from None
        return ConfluentOutbox(settings, topics, max_outstanding, delivery_timeout_ms)
    from producers.sender.kafka_python_outbox import KafkaPythonOutbox

    return KafkaPythonOutbox(settings, topics, max_outstanding, delivery_timeout_ms)
