"""Reading the log for the sender: the ordinals at the end of each topic."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from aiokafka import TopicPartition

from fraudsim.log import headers as h
from fraudsim.log.consumer import FetchPlan, TopicReader, open_reader
from fraudsim.settings import Settings
from producers.outbox.outbox import MAX_OUTSTANDING
from producers.sender.ordinals import LoggedOrdinals, OffsetRange, logged_ordinals, ordinal_of, read_back
from producers.sender.shard import check_shard_count

BRIEF: Final = FetchPlan(wait_ms=50)
STRAGGLER_WAIT_S: Final = 0.25
"""Requests that a killed sender left in the broker's socket are in the log after this time."""


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
    return asyncio.run(_find_logged_ordinals(settings, topics, source.encode(), max_outstanding))


async def _find_logged_ordinals(
    settings: Settings, topics: Mapping[str, Iterable[int]], source: bytes, max_outstanding: int
) -> dict[str, LoggedOrdinals]:
    partitions = {topic: [TopicPartition(topic, n) for n in numbers] for topic, numbers in topics.items()}
    every = [tp for tps in partitions.values() for tp in tps]
    async with open_reader(settings.kafka_bootstrap, every, BRIEF) as reader:
        ordinals = _OrdinalReader(reader, source)
        ranges = await ordinals.offsets(every)
        read = {
            topic: await read_back({tp: ranges[tp] for tp in tps}, ordinals.read, max_outstanding)
            for topic, tps in partitions.items()
        }
        grew = True
        while grew:  # until no record of a killed sender arrives any more
            await asyncio.sleep(STRAGGLER_WAIT_S)
            current = await ordinals.offsets(every)
            appended = await ordinals.read({tp: (ranges[tp][1], current[tp][1]) for tp in every})
            ranges = current
            for tp, found in appended.items():
                read[tp.topic].update(found)
            grew = any(appended.values())
    return {topic: logged_ordinals(found, max_outstanding) for topic, found in read.items()}


class _OrdinalReader:
    """Reads ordinals of one source from ranges of offsets."""

    def __init__(self, reader: TopicReader, source: bytes) -> None:
        self._reader = reader
        self._source = source

    async def offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, OffsetRange]:
        """First and end offset of each partition."""
        begins, ends = await self._reader.begins(partitions), await self._reader.ends(partitions)
        return {tp: (begins[tp], ends[tp]) for tp in partitions}

    async def read(self, ranges: Mapping[TopicPartition, OffsetRange]) -> dict[TopicPartition, list[int]]:
        """The ordinals of the source's records in ranges of offsets."""
        ordinals: dict[TopicPartition, list[int]] = defaultdict(list)
        unread = {tp: (first, end) for tp, (first, end) in ranges.items() if end > first}
        if not unread:
            return ordinals
        self._reader.assign([*unread])
        self._reader.seek({tp: first for tp, (first, _) in unread.items()})
        async for tp, records, _ in self._reader.read_until({tp: end for tp, (_, end) in unread.items()}):
            for record in records:
                check_shard_count(h.header(record.headers, h.SOURCE), self._source)
                ordinal = ordinal_of(record.headers, self._source)
                if ordinal is not None:
                    ordinals[tp].append(ordinal)
        return ordinals
