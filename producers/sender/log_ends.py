"""The producers' side of Kafka apart from sending: where topics are, and reading the ends of the log back."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from fraudsim.errors import FraudsimError
from fraudsim.log import headers as h
from fraudsim.settings import Settings
from producers.sender.resume import MAX_OUTSTANDING, Present, Range, own_ordinal, present, read_back
from producers.sender.shard import refuse_other_shards

SETTLE_S: Final = 0.25
"""Requests that a killed sender left in the broker's socket are in the log after this."""


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


def find_present(
    settings: Settings,
    topics: Mapping[str, Iterable[int]],
    source: str,
    max_outstanding: int = MAX_OUTSTANDING,
) -> dict[str, Present]:
    """Which ordinals of a source each topic's log holds.

    Args:
        topics: the topics, each with its partitions.

    Raises:
        FraudsimError: the log holds records of the source, sent by another number of shards.
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

        from fraudsim.log.lenient_records import read_past_unreadable_headers

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
                        refuse_other_shards(h.header(record.headers, h.SOURCE), self._source)
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
