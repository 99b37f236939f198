"""The sender's outbox on librdkafka, by confluent-kafka (extra `load`): for thousands a second."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

from confluent_kafka import KafkaException, Producer

from fraudsim.settings import Settings
from producers.sender.outbox import DELIVERY_TIMEOUT_MS, BoundedOutbox, SendError
from producers.sender.resume import MAX_OUTSTANDING

LINGER_MS: Final = 5
METADATA_S: Final = 20.0


class _Handed:
    """A record that was handed over; called with what became of it."""

    __slots__ = ("_on_failure", "is_done")

    def __init__(self, on_failure: Callable[[str], None]) -> None:
        self._on_failure = on_failure
        self.is_done = False

    def __call__(self, error: Any, _: Any) -> None:
        if error is not None:
            self._on_failure(error.str())
        self.is_done = True


class ConfluentOutbox(BoundedOutbox):
    """A `Outbox`. Acknowledgements are taken in by the sender's own calls, in no thread."""

    look_s = 0.05
    """A `poll` may take its whole time though reports came early (confluent-kafka-python issue 2215)."""

    def __init__(
        self,
        settings: Settings,
        topics: Sequence[str],
        max_outstanding: int = MAX_OUTSTANDING,
        delivery_timeout_ms: int = DELIVERY_TIMEOUT_MS,
    ) -> None:
        """Connect, and learn where `topics` are, so that the first record goes out at once."""
        super().__init__(max_outstanding)
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

    def _serve(self, wait_s: float) -> None:
        self._producer.poll(wait_s)

    def hand_over(self, topic: str, key: str, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        handed = _Handed(self._on_failure)
        try:
            self._producer.produce(topic, value, key, on_delivery=handed, headers=headers)
        except KafkaException as error:
            self._on_failure(error.args[0].str())
            self.check()
        self._waiting.append(handed)

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
