"""Reading the log for the producers: the partitions of topics, and the ordinals at the end of each."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from fraudsim.errors import FraudsimError
from fraudsim.log import headers as h
from fraudsim.settings import Settings
from producers.outbox.outbox import MAX_OUTSTANDING
from producers.sender.ordinals import LoggedOrdinals, OffsetRange, logged_ordinals, ordinal_of, read_back
from producers.sender.shard import check_shard_count

STRAGGLER_WAIT_S: Final = 0.25
"""Requests that a killed sender left in the broker's socket are in the log after this time."""


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


def find_logged_ordinals(
    settings: Settings,
    topics: Mapping[str, Iterable[int]],
    source: str,
    max_outstanding: int = MAX_OUTSTANDING,
) -> dict[str, LoggedOrdinals]:
    """Read which ordinals of a source each topic's log holds.

    Args:
        topics: the topics, each with its partitions.

    Raises:
        FraudsimError: the log holds records of the source that another number of shards sent.
    """
    from aiokafka import TopicPartition

    reader = _OrdinalReader(settings, source.encode())
    try:
        partitions = {topic: [TopicPartition(topic, n) for n in numbers] for topic, numbers in topics.items()}
        ranges = {topic: reader.offsets(tps) for topic, tps in partitions.items()}
        read = {topic: read_back(log, reader.ordinals, max_outstanding) for topic, log in ranges.items()}
        grew = True
        while grew:  # until no record of a killed sender arrives any more
            time.sleep(STRAGGLER_WAIT_S)
            grew = False
            for topic, tps in partitions.items():
                current = reader.offsets(tps)
                appended = {tp: (ranges[topic][tp][1], current[tp][1]) for tp in tps}
                ranges[topic] = current
                for ordinals in reader.ordinals(appended).values():
                    grew = grew or bool(ordinals)
                    read[topic].update(ordinals)
        return {topic: logged_ordinals(ordinals, max_outstanding) for topic, ordinals in read.items()}
    finally:
        reader.close()


class _OrdinalReader:
    """Reads ordinals of one source from ranges of offsets; aiokafka is far faster at it than kafka-python."""

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

    def offsets(self, partitions: Sequence[Any]) -> dict[Any, OffsetRange]:
        """First and end offset of each partition."""
        return self._runner.run(self._offsets(partitions))

    async def _offsets(self, partitions: Sequence[Any]) -> dict[Any, OffsetRange]:
        first = await self._consumer.beginning_offsets(partitions)
        end = await self._consumer.end_offsets(partitions)
        return {partition: (first[partition], end[partition]) for partition in partitions}

    def ordinals(self, ranges: Mapping[Any, OffsetRange]) -> dict[Any, list[int]]:
        """The ordinals of the source's records in ranges of offsets."""
        return self._runner.run(self._ordinals(ranges))

    async def _ordinals(self, ranges: Mapping[Any, OffsetRange]) -> dict[Any, list[int]]:
        ordinals: dict[Any, list[int]] = defaultdict(list)
        unread = {partition: end for partition, (first, end) in ranges.items() if end > first}
        if unread:
            self._consumer.assign(list(unread))
        for partition in unread:
            self._consumer.seek(partition, ranges[partition][0])
        while unread:
            for partition, records in (await self._consumer.getmany(timeout_ms=1_000)).items():
                for record in records:
                    if record.offset < ranges[partition][1]:
                        check_shard_count(h.header(record.headers, h.SOURCE), self._source)
                        ordinal = ordinal_of(record.headers, self._source)
                        if ordinal is not None:
                            ordinals[partition].append(ordinal)
            for partition in list(unread):
                if await self._consumer.position(partition) >= unread[partition]:
                    del unread[partition]
                    self._consumer.pause(partition)
        return ordinals

    def close(self) -> None:
        self._runner.run(self._consumer.stop())
        self._runner.close()
