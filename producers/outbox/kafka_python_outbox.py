"""The outbox on kafka-python: nothing more to install, 1,000 transactions a second."""

import time
from collections.abc import Sequence
from typing import Any, Final

from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError

from fraudsim.log.partitioning import partition_of
from fraudsim.settings import Settings
from producers.outbox.outbox import DELIVERY_TIMEOUT_MS, BoundedOutbox, OnAck, SendError

REQUEST_TIMEOUT_MS: Final = 20_000


class KafkaPythonOutbox(BoundedOutbox):
    """An `Outbox`. Acknowledgements arrive in the client's own thread."""

    poll_s = 0.005

    def _connect(self, settings: Settings, topics: Sequence[str], delivery_timeout_ms: int) -> Any:
        producer = KafkaProducer(
            bootstrap_servers=settings.kafka_bootstrap.split(","),
            acks="all",
            enable_idempotence=True,  # one batch in flight per partition, so retries keep the order
            linger_ms=0,  # records of one tick share a batch anyway
            request_timeout_ms=min(REQUEST_TIMEOUT_MS, delivery_timeout_ms),
            delivery_timeout_ms=delivery_timeout_ms,
            reconnect_backoff_max_ms=1_000,
            metrics_enabled=False,
            allow_auto_create_topics=False,
        )
        self._partitions = {topic: len(producer.partitions_for(topic)) for topic in topics}
        return producer

    def _serve(self, wait_s: float) -> None:
        if wait_s:
            time.sleep(wait_s)

    def hand_over(
        self,
        topic: str,
        key: str,
        value: bytes,
        headers: list[tuple[str, bytes]],
        on_ack: OnAck | None = None,
    ) -> None:
        try:
            future = self._producer.send(
                topic,
                key=key.encode(),
                value=value,
                headers=headers,
                # The client's own partitioner gives the same, but hashes in Python for every record.
                partition=partition_of(key, self._partitions[topic]),
            )
        except KafkaError as error:
            self._on_failure(error)
            self.check()
        future.add_errback(self._on_failure)
        if on_ack is not None:
            future.add_callback(lambda metadata: on_ack(metadata.timestamp))
        self._unacknowledged.append(future)

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
