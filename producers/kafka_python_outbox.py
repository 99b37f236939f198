"""The sender's outbox on kafka-python: nothing to install, 1,000 transactions a second."""

import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError

from fraudsim.settings import Settings
from producers.outbox import DELIVERY_TIMEOUT_MS, ROOM_S, SendError
from producers.resume import MAX_OUTSTANDING

REQUEST_TIMEOUT_MS: Final = 20_000
LOOK_S: Final = 0.005


class KafkaPythonOutbox:
    """A `producers.outbox.Outbox`."""

    def __init__(
        self,
        settings: Settings,
        topics: Sequence[str],
        max_outstanding: int = MAX_OUTSTANDING,
        delivery_timeout_ms: int = DELIVERY_TIMEOUT_MS,
    ) -> None:
        """Connect, and learn where `topics` are, so that the first record goes out at once."""
        self._max_outstanding = max_outstanding
        self._waiting: deque[Any] = deque()
        self._failure: BaseException | None = None
        self._producer: Any = KafkaProducer(
            bootstrap_servers=settings.kafka_bootstrap.split(","),
            acks="all",
            enable_idempotence=True,  # one batch in flight per partition: order is kept through retries
            linger_ms=0,  # records of one tick share a batch anyway
            request_timeout_ms=min(REQUEST_TIMEOUT_MS, delivery_timeout_ms),
            delivery_timeout_ms=delivery_timeout_ms,
            reconnect_backoff_max_ms=1_000,
            metrics_enabled=False,
            allow_auto_create_topics=False,
        )
        for topic in topics:
            self._producer.partitions_for(topic)

    @property
    def outstanding(self) -> int:
        waiting = self._waiting
        while waiting and waiting[0].is_done:
            waiting.popleft()
        return len(waiting)

    def hand_over(self, topic: str, key: bytes, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        try:
            future = self._producer.send(topic, key=key, value=value, headers=headers)
        except KafkaError as error:
            self._on_error(error)
            self.check()
        future.add_errback(self._on_error)
        self._waiting.append(future)

    def _on_error(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error

    def check(self) -> None:
        if self._failure is not None:
            raise SendError(f"Kafka did not take a record: {self._failure}") from self._failure

    def wait_for_room(self, timeout_s: float = ROOM_S) -> bool:
        if self.outstanding < self._max_outstanding:
            return True
        deadline = time.monotonic() + timeout_s
        while self.outstanding >= self._max_outstanding:
            self.check()
            if time.monotonic() > deadline:
                return False
            time.sleep(LOOK_S)
        return True

    def flush(self, timeout_s: float = DELIVERY_TIMEOUT_MS / 1000) -> None:
        try:
            self._producer.flush(timeout=timeout_s)
        except KafkaTimeoutError as error:
            self.check()
            raise SendError(
                f"{self.outstanding} records without acknowledgement after {timeout_s:g} s"
            ) from error
        self.check()

    def close(self, timeout_s: float = 5.0) -> None:
        self._producer.close(timeout=timeout_s)
