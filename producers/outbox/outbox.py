"""The interface by which records are handed to Kafka, and what its implementations share."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Final, Protocol

from fraudsim.settings import Settings

DELIVERY_TIMEOUT_MS: Final = 90_000
"""Less than the 120 s of wall time within which a late record is still valid: a record that was given up is
sent again by the next start."""
MAX_OUTSTANDING: Final = 20_000
"""Most records handed over since the oldest one that is not acknowledged."""
ROOM_TIMEOUT_S: Final = 1.0
"""`wait_for_room` returns after this long at the latest."""


OnAck = Callable[[int], None]
"""Takes the broker's timestamp of a record, ms."""


class SendError(Exception):
    """A record was not acknowledged. The process must end; the next start finds and sends what is missing."""


class Outbox(Protocol):
    """An idempotent producer with acks=all, a bound on outstanding records, and no silent loss."""

    @property
    def outstanding(self) -> int:
        """Records handed over since the oldest one that is not acknowledged yet.

        Not a count of unacknowledged records: one partition may be stuck while others go on, and a
        restart finds missing records only within a bounded stretch of the sequence.
        """
        ...

    def hand_over(
        self,
        topic: str,
        key: str,
        value: bytes,
        headers: list[tuple[str, bytes]],
        on_ack: OnAck | None = None,
    ) -> None:
        """Pass a record to the client, which may batch it with others.

        Args:
            on_ack: called, perhaps in the client's thread, once the broker has the record.

        Raises:
            SendError: the client takes no more records.
        """
        ...

    def wait_for_room(self, timeout_s: float = ROOM_TIMEOUT_S) -> bool:
        """Back-pressure: whether fewer records than the bound are outstanding, within `timeout_s` seconds.

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
        """Wait until every record handed over is acknowledged.

        Raises:
            SendError: a record is not acknowledged within the time.
        """
        ...

    def close(self, timeout_s: float = 5.0) -> None:
        """Close the connections; with a timeout of 0, outstanding records are given up."""
        ...


class BoundedOutbox(ABC):
    """The state that outboxes share: outstanding records, the bound on them, and the first failure."""

    poll_s: float
    """How long to serve the client before checking for room again."""

    def __init__(
        self,
        settings: Settings,
        topics: Sequence[str],
        max_outstanding: int = MAX_OUTSTANDING,
        delivery_timeout_ms: int = DELIVERY_TIMEOUT_MS,
    ) -> None:
        """Connect, and fetch the metadata of `topics`, so that the first record is sent at once.

        Raises:
            SendError: Kafka does not answer.
        """
        self._producer = self._connect(settings, topics, delivery_timeout_ms)
        self._max_outstanding = max_outstanding
        self._unacknowledged: deque[Any] = deque()
        """Deliveries, each with `is_done`, in the order of handing over; done ones leave at the front."""
        self._failure: str | None = None

    @abstractmethod
    def _connect(self, settings: Settings, topics: Sequence[str], delivery_timeout_ms: int) -> Any:
        """The client, connected, with the metadata of `topics`."""

    @abstractmethod
    def _serve(self, wait_s: float) -> None:
        """Let the client process acknowledgements for up to `wait_s` seconds."""

    @property
    def outstanding(self) -> int:
        self._serve(0)
        deliveries = self._unacknowledged
        while deliveries and deliveries[0].is_done:
            deliveries.popleft()
        return len(deliveries)

    def _on_failure(self, error: object) -> None:
        if self._failure is None:
            self._failure = str(error)

    def check(self) -> None:
        self._serve(0)
        if self._failure is not None:
            raise SendError(f"Kafka did not take a record: {self._failure}")

    def wait_for_room(self, timeout_s: float = ROOM_TIMEOUT_S) -> bool:
        if self.outstanding < self._max_outstanding:
            return True
        deadline = monotonic() + timeout_s
        while self.outstanding >= self._max_outstanding:
            self.check()
            if monotonic() > deadline:
                return False
            self._serve(self.poll_s)
        return True
