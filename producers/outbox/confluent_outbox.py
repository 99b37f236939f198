"""The outbox on librdkafka, by confluent-kafka (extra `load`): for thousands of records a second."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

from confluent_kafka import KafkaException, Producer

from fraudsim.settings import Settings
from producers.outbox.outbox import DELIVERY_TIMEOUT_MS, BoundedOutbox, OnAck, SendError

LINGER_MS: Final = 5
METADATA_S: Final = 20.0


class _Delivery:
    """The delivery report of one record; librdkafka calls it with the error, None on success."""

    __slots__ = ("_on_ack", "_on_failure", "is_done")

    def __init__(self, on_failure: Callable[[str], None], on_ack: OnAck | None) -> None:
        self._on_failure = on_failure
        self._on_ack = on_ack
        self.is_done = False

    def __call__(self, error: Any, message: Any) -> None:
        if error is not None:
            self._on_failure(error.str())
        elif self._on_ack is not None:
            self._on_ack(message.timestamp()[1])
        self.is_done = True


class ConfluentOutbox(BoundedOutbox):
    """An `Outbox`. Acknowledgements are processed within the sender's own calls, in no thread."""

    poll_s = 0.05
    """A `poll` may take its whole time although reports arrive early (confluent-kafka-python issue 2215)."""

    def _connect(self, settings: Settings, topics: Sequence[str], delivery_timeout_ms: int) -> Any:
        producer = Producer(
            {
                "bootstrap.servers": settings.kafka_bootstrap,
                "acks": "all",
                "enable.idempotence": True,
                "partitioner": "murmur2_random",  # as kafka-python and Java do; librdkafka's default is CRC32
                "linger.ms": LINGER_MS,
                "delivery.timeout.ms": delivery_timeout_ms,
                "reconnect.backoff.max.ms": 1_000,
                "allow.auto.create.topics": False,
            },
            logger=logging.getLogger("librdkafka"),
        )
        try:
            for topic in topics:
                producer.list_topics(topic, timeout=METADATA_S)
        except KafkaException as error:
            raise SendError(f"Kafka does not answer: {error.args[0].str()}") from error
        return producer

    def _serve(self, wait_s: float) -> None:
        self._producer.poll(wait_s)

    def hand_over(
        self,
        topic: str,
        key: str,
        value: bytes,
        headers: list[tuple[str, bytes]],
        on_ack: OnAck | None = None,
    ) -> None:
        delivery = _Delivery(self._on_failure, on_ack)
        try:
            self._producer.produce(topic, value, key, on_delivery=delivery, headers=headers)
        except KafkaException as error:
            self._on_failure(error.args[0].str())
            self.check()
        self._unacknowledged.append(delivery)

    def flush(self, timeout_s: float = DELIVERY_TIMEOUT_MS / 1000) -> None:
        queued_count = self._producer.flush(timeout_s)
        self.check()
        if queued_count:
            raise SendError(f"{self.outstanding} records without acknowledgement after {timeout_s:g} s")

    def close(self, timeout_s: float = 5.0) -> None:
        if timeout_s:
            self._producer.flush(timeout_s)
        self._producer.purge()
        self._producer.poll(0)
