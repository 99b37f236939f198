"""Reading the end of the log for the sender: the ordinals in it, and how far HTTP carried event time."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from aiokafka import TopicPartition

from fraudsim.log import headers as h
from fraudsim.log.acceptance import Rejected, read_event
from fraudsim.log.clock import Clock, event_time_ms
from fraudsim.log.clock_log import ClockLog
from fraudsim.log.consumer import SHORT, FetchPlan, TopicReader, open_reader, partitions_of
from fraudsim.log.events import decode_transaction
from fraudsim.log.topics import CLOCK, TRANSACTIONS
from fraudsim.settings import Settings
from producers.outbox.outbox import MAX_OUTSTANDING
from producers.sender.ordinals import LoggedOrdinals, OffsetRange, logged_ordinals, ordinal_of, read_back
from producers.sender.shard import check_shard_count

BRIEF: Final = FetchPlan(wait_ms=50)
READ_BACK: Final = 1_000
"""Records of each partition in which HTTP's answers are looked for. It stamps in the order of arrival but for
some seconds."""
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
        ordinal_reader = _OrdinalReader(reader, source)
        ranges = await ordinal_reader.offsets(every)
        read = {
            topic: await read_back({tp: ranges[tp] for tp in tps}, ordinal_reader.read, max_outstanding)
            for topic, tps in partitions.items()
        }
        grew = True
        while grew:  # until no record of a killed sender arrives any more
            await asyncio.sleep(STRAGGLER_WAIT_S)
            current = await ordinal_reader.offsets(every)
            appended = await ordinal_reader.read({tp: (ranges[tp][1], current[tp][1]) for tp in every})
            ranges = current
            for tp, new_ordinals in appended.items():
                read[tp.topic].update(new_ordinals)
            grew = any(appended.values())
    return {topic: logged_ordinals(ordinals, max_outstanding) for topic, ordinals in read.items()}


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


def last_answered_ms(clock_log: ClockLog) -> int:
    """The latest event time of the transactions at the log's end that HTTP answered; 0 if there is none.

    `clock_log` has been read to its end.
    """
    topic = clock_log.topic.removesuffix(CLOCK) + TRANSACTIONS
    tps = [TopicPartition(topic, n) for n in partitions_of(clock_log.bootstrap, [topic])[topic]]
    return asyncio.run(_last_answered_ms(clock_log, tps)) if tps else 0


async def _last_answered_ms(clock_log: ClockLog, tps: list[TopicPartition]) -> int:
    latest_ms = 0
    async with open_reader(clock_log.bootstrap, tps, SHORT) as reader:
        begins, ends = await reader.begins(), await reader.ends()
        reader.seek({tp: max(begins[tp], ends[tp] - READ_BACK) for tp in tps})
        async for _, records, _ in reader.read_until(ends):
            latest_ms = max([latest_ms, *(answered_ms(record, clock_log.clock) for record in records)])
    return latest_ms


def answered_ms(record: Any, clock: Clock) -> int:
    """The event time that HTTP gave a transaction; 0 if HTTP did not answer it, or it is not valid.

    A record with a forged header carries the clock no further than an honest one that arrived with it.
    """
    number = h.int_header(record.headers, h.SEGMENT)
    if number is None or h.header(record.headers, h.DECISION) is None:
        return 0
    segment, event = clock.segment(number, record.timestamp), read_event(record.value, decode_transaction)
    if segment is None or isinstance(event, Rejected):
        return 0
    return min(event.ts, event_time_ms(segment, record.timestamp) + segment.future_ms)
