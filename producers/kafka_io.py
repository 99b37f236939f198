"""The producers' side of Kafka: handing records over with a bound, and reading the ends of the log back."""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from producers.resume import MAX_OUTSTANDING, Present, Range, own_ordinal, present, read_back

DELIVERY_TIMEOUT_MS: Final = 90_000
"""Under the 120 s of wall time within which a late record still counts: what is given up is sent again."""
SETTLE_S: Final = 0.25
"""Requests that a killed sender left in the broker's socket are in the log after this."""


class SendError(Exception):
    """A record was not acknowledged. The process must end; its successor finds what is missing."""


def partitions_of(settings: Settings, topics: Sequence[str]) -> dict[str, list[int]]:
    """The partitions of each topic.

    Raises:
        FraudsimError: a topic does not exist.
    """
    from kafka import KafkaConsumer

    consumer: Any = KafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap.split(","), allow_auto_create_topics=False
    )
    try:
        partitions = {topic: sorted(consumer.partitions_for_topic(topic) or ()) for topic in topics}
    finally:
        consumer.close()
    for topic, numbers in partitions.items():
        if not numbers:
            raise FraudsimError(f"topic {topic} does not exist: create the topics with `fraudsim topics`")
    return partitions


class Outbox:
    """kafka-python's producer, idempotent and acks=all, few records outstanding, none lost silently."""

    def __init__(
        self, settings: Settings, topics: Sequence[str], max_outstanding: int = MAX_OUTSTANDING
    ) -> None:
        """Connect, and learn where `topics` are, so that the first record goes out at once."""
        from kafka import KafkaProducer

        self._max_outstanding = max_outstanding
        self._waiting: deque[Any] = deque()
        self._failure: BaseException | None = None
        self._producer: Any = KafkaProducer(
            bootstrap_servers=settings.kafka_bootstrap.split(","),
            acks="all",
            enable_idempotence=True,  # one batch in flight per partition: order is kept through retries
            linger_ms=0,  # records of one tick share a batch anyway
            request_timeout_ms=20_000,
            delivery_timeout_ms=DELIVERY_TIMEOUT_MS,
            reconnect_backoff_max_ms=1_000,
            metrics_enabled=False,
            allow_auto_create_topics=False,
        )
        for topic in topics:
            self._producer.partitions_for(topic)

    @property
    def outstanding(self) -> int:
        """Records handed over since the oldest one that is not acknowledged yet.

        Not a count of those without acknowledgement: one partition may be stuck while others go on, and a
        restart finds what is missing only within a bounded stretch of the sequence.
        """
        waiting = self._waiting
        while waiting and waiting[0].is_done:
            waiting.popleft()
        return len(waiting)

    def hand_over(self, topic: str, key: bytes, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        """Give a record to the producer's own thread; it may batch it with others."""
        future = self._producer.send(topic, key=key, value=value, headers=headers)
        future.add_errback(self._on_error)
        self._waiting.append(future)

    def _on_error(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error

    def check(self) -> None:
        """Raises:
        SendError: a record was not acknowledged.
        """
        if self._failure is not None:
            raise SendError(f"Kafka did not take a record: {self._failure}") from self._failure

    def wait_for_room(self) -> None:
        """Back-pressure: return once fewer than the bound are outstanding.

        Raises:
            SendError: a record was not acknowledged.
        """
        while self.outstanding >= self._max_outstanding:
            self.check()
            time.sleep(0.005)

    def flush(self, timeout_s: float = DELIVERY_TIMEOUT_MS / 1000) -> None:
        """Wait until everything handed over is acknowledged.

        Raises:
            SendError: something is not, within the time.
        """
        from kafka.errors import KafkaTimeoutError

        try:
            self._producer.flush(timeout=timeout_s)
        except KafkaTimeoutError as error:
            self.check()
            raise SendError(
                f"{self.outstanding} records without acknowledgement after {timeout_s:g} s"
            ) from error
        self.check()

    def close(self, timeout_s: float = 5.0) -> None:
        """Close the connections; with 0, whatever is outstanding is given up."""
        self._producer.close(timeout=timeout_s)


def find_present(
    settings: Settings,
    topics: Mapping[str, Iterable[int]],
    source: str,
    max_outstanding: int = MAX_OUTSTANDING,
) -> dict[str, Present]:
    """Which ordinals of a source each topic's log holds.

    Args:
        topics: the topics, each with its partitions.
    """
    from aiokafka import TopicPartition

    reader = _OrdinalReader(settings, source.encode())
    try:
        partitions = {topic: [TopicPartition(topic, n) for n in numbers] for topic, numbers in topics.items()}
        ends = {topic: reader.offsets(there) for topic, there in partitions.items()}
        found = {topic: read_back(log, reader.ordinals, max_outstanding) for topic, log in ends.items()}
        grew = True
        while grew:  # until nothing of a predecessor arrives any more
            time.sleep(SETTLE_S)
            grew = False
            for topic, there in partitions.items():
                now = reader.offsets(there)
                news = {p: (ends[topic][p][1], now[p][1]) for p in there}
                ends[topic] = now
                for ordinals in reader.ordinals(news).values():
                    grew = grew or bool(ordinals)
                    found[topic].update(ordinals)
        return {topic: present(ordinals, max_outstanding) for topic, ordinals in found.items()}
    finally:
        reader.close()


class _OrdinalReader:
    """Reads ranges of offsets and keeps the ordinals of one source (aiokafka: far faster at it)."""

    def __init__(self, settings: Settings, source: bytes) -> None:
        self._source = source
        self._runner = asyncio.Runner()
        self._consumer: Any = self._runner.run(self._start(settings))

    async def _start(self, settings: Settings) -> Any:
        from aiokafka import AIOKafkaConsumer

        from fraudsim.lenient_records import read_past_unreadable_headers

        read_past_unreadable_headers()
        consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.kafka_bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_wait_ms=50,
        )
        await consumer.start()
        return consumer

    def offsets(self, partitions: Sequence[Any]) -> dict[Any, Range]:
        """First and end offset of each partition."""
        return self._runner.run(self._offsets(partitions))

    async def _offsets(self, partitions: Sequence[Any]) -> dict[Any, Range]:
        first = await self._consumer.beginning_offsets(partitions)
        end = await self._consumer.end_offsets(partitions)
        return {partition: (first[partition], end[partition]) for partition in partitions}

    def ordinals(self, ranges: Mapping[Any, Range]) -> dict[Any, list[int]]:
        """The ordinals of the source's records in ranges of offsets."""
        return self._runner.run(self._ordinals(ranges))

    async def _ordinals(self, ranges: Mapping[Any, Range]) -> dict[Any, list[int]]:
        found: dict[Any, list[int]] = defaultdict(list)
        left = {partition: end for partition, (first, end) in ranges.items() if end > first}
        if left:
            self._consumer.assign(list(left))
        for partition in left:
            self._consumer.seek(partition, ranges[partition][0])
        while left:
            for partition, records in (await self._consumer.getmany(timeout_ms=1_000)).items():
                for record in records:
                    if record.offset < ranges[partition][1]:
                        ordinal = own_ordinal(record.headers, self._source)
                        if ordinal is not None:
                            found[partition].append(ordinal)
            for partition in list(left):
                if await self._consumer.position(partition) >= left[partition]:
                    del left[partition]
                    self._consumer.pause(partition)
        return found

    def close(self) -> None:
        self._runner.run(self._consumer.stop())
        self._runner.close()
