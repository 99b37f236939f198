"""The sender's outbox on librdkafka, by confluent-kafka (extra `load`): for thousands a second."""

import logging
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import Any, Final

from confluent_kafka import KafkaException, Producer

from fraudsim.settings import Settings
from producers.outbox import DELIVERY_TIMEOUT_MS, ROOM_S, SendError
from producers.resume import MAX_OUTSTANDING

LINGER_MS: Final = 5
METADATA_S: Final = 20.0
LOOK_S: Final = 0.05
"""A `poll` may take its whole time though reports came early (confluent-kafka-python issue 2215)."""


class _Handed:
    """A record that was handed over; called with what became of it."""

    __slots__ = ("_failures", "is_done")

    def __init__(self, failures: list[str]) -> None:
        self._failures = failures
        self.is_done = False

    def __call__(self, error: Any, _: Any) -> None:
        if error is not None:
            self._failures.append(error.str())
        self.is_done = True


class ConfluentOutbox:
    """A `producers.outbox.Outbox`. Acknowledgements are taken in by the sender's own calls, in no thread."""

    def __init__(
        self,
        settings: Settings,
        topics: Sequence[str],
        max_outstanding: int = MAX_OUTSTANDING,
        delivery_timeout_ms: int = DELIVERY_TIMEOUT_MS,
    ) -> None:
        """Connect, and learn where `topics` are, so that the first record goes out at once."""
        self._max_outstanding = max_outstanding
        self._waiting: deque[_Handed] = deque()
        self._failures: list[str] = []
        self._producer: Any = Producer(
            {
                "bootstrap.servers": settings.kafka_bootstrap,
                "acks": "all",
                "enable.idempotence": True,
                "partitioner": "murmur2_random",  # what kafka-python and Java do; librdkafka's own is CRC32
                "linger.ms": LINGER_MS,
                "delivery.timeout.ms": delivery_timeout_ms,
                "reconnect.backoff.max.ms": 1_000,
                "allow.auto.create.topics": False,
            },
            logger=logging.getLogger("librdkafka"),
        )
        try:
            for topic in topics:
                self._producer.list_topics(topic, timeout=METADATA_S)
        except KafkaException as error:
            raise SendError(f"Kafka does not answer: {error.args[0].str()}") from error

    @property
    def outstanding(self) -> int:
        self._producer.poll(0)
        waiting = self._waiting
        while waiting and waiting[0].is_done:
            waiting.popleft()
        return len(waiting)

    def hand_over(self, topic: str, key: bytes, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        handed = _Handed(self._failures)
        try:
            self._producer.produce(topic, value, key, on_delivery=handed, headers=headers)
        except KafkaException as error:
            self._failures.append(error.args[0].str())
            self.check()
        self._waiting.append(handed)

    def check(self) -> None:
        self._producer.poll(0)
        if self._failures:
            raise SendError(f"Kafka did not take a record: {self._failures[0]}")

    def wait_for_room(self, timeout_s: float = ROOM_S) -> bool:
        if self.outstanding < self._max_outstanding:
            return True
        deadline = monotonic() + timeout_s
        while self.outstanding >= self._max_outstanding:
            self.check()
            if monotonic() > deadline:
                return False
            self._producer.poll(LOOK_S)
        return True

    def flush(self, timeout_s: float = DELIVERY_TIMEOUT_MS / 1000) -> None:
        left = self._producer.flush(timeout_s)
        self.check()
        if left:
            raise SendError(f"{self.outstanding} records without acknowledgement after {timeout_s:g} s")

    def close(self, timeout_s: float = 5.0) -> None:
        if timeout_s:
            self._producer.flush(timeout_s)
        self._producer.purge()
        self._producer.poll(0)
