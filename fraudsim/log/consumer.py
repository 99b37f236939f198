"""Kafka consumers: every one of the product is opened here, with or without a group.

`open_reader` is for processes that keep reading, by asyncio; it knows every codec, and reads past headers
that cannot be decoded. `partitions_of`, `log_ranges`, `asking_ends` and `read_to_end` need no event loop.
Nothing is committed: positions follow from the log's own content.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import KafkaError, KafkaTimeoutError

from fraudsim.errors import FraudsimError
from fraudsim.log.brokers import check_reachable
from fraudsim.log.closing import close_consumer
from fraudsim.log.decoding.fetching import decode_within_bounds
from fraudsim.settings import Settings

POLL_MS: Final = 200
TIMEOUT_S: Final = 60.0
"""Longest time without a record in a short read that has not come to its end."""

LISTED_WITHIN_S: Final = 2.0
"""How long a topic that has just been created may take until a short read finds it."""

Offsets = Mapping[TopicPartition, int]
Polled = Mapping[TopicPartition, Sequence[Any]]
"""aiokafka records by partition, in offset order; partitions without records are left out."""


@dataclass(frozen=True)
class FetchPlan:
    """When the broker answers a fetch, and with how much."""

    wait_ms: int = 500
    """The broker answers after this time …"""
    min_bytes: int = 1
    """… or as soon as it has this many bytes."""
    max_partition_bytes: int = 1 << 20
    max_records: int | None = None
    """Of one poll; None for no bound."""


PROMPT: Final = FetchPlan()
"""Answered with the first byte."""
SHORT: Final = FetchPlan(wait_ms=20)
"""For short reads, because stopping a consumer waits for its current fetch."""


Fetch = Callable[[Sequence[TopicPartition], int, int], Awaitable[Polled]]
"""Takes what aiokafka has fetched: of these partitions, waiting so many ms for it, so many records."""


async def shared_poll(
    fetch: Fetch, partitions: Sequence[TopicPartition], timeout_ms: int, max_records: int
) -> dict[TopicPartition, list[Any]]:
    """Up to `max_records` records, of which each partition gets its share.

    aiokafka alone fills a poll from the partition that it fetched first: one with a backlog would keep the
    others waiting. What some partitions leave of their share goes to the others.
    """
    polled: dict[TopicPartition, list[Any]] = {}

    async def take(tps: Sequence[TopicPartition], wait_ms: int, most: int) -> int:
        fetched = await fetch(tps, wait_ms, most)
        for tp, records in fetched.items():
            polled.setdefault(tp, []).extend(records)
        return sum(map(len, fetched.values()))

    share = max(1, max_records // max(1, len(partitions)))
    left = max_records - await take(partitions, timeout_ms, share)
    hungry = list(partitions) if polled else []
    with suppress(KafkaError):  # the next poll meets it again, and what was taken must not be lost
        while hungry and left > 0:
            sated = set()
            for tp in hungry:
                most = min(left, share - len(polled.get(tp, ())))
                count = await take([tp], 0, most) if most > 0 else 0
                left -= count
                if count < most:
                    sated.add(tp)
            hungry = [tp for tp in hungry if tp not in sated]
            share += max(1, left // max(1, len(hungry)))
    return polled


class TopicReader:
    """A consumer with assigned partitions and no group. Positions are offsets of the next record.

    `start` it, then set it going by `seek` or `seek_to_begins`.
    """

    def __init__(
        self, consumer: Any, partitions: Sequence[TopicPartition], max_records: int | None = None
    ) -> None:
        """At most `max_records` come with a poll; None for no bound."""
        self._consumer = consumer
        self._max_records = max_records
        self.partitions = tuple(partitions)
        self._assigned = False

    async def start(self) -> None:
        """Connect."""
        await self._consumer.start()

    async def stop(self) -> None:
        """Close the connections."""
        await close_consumer(self._consumer)

    def assign(self, partitions: Sequence[TopicPartition]) -> None:
        """Read other partitions from the next `seek` on."""
        self.partitions = tuple(partitions)
        self._assigned = False

    async def topics(self) -> set[str]:
        """The topics that exist."""
        return set(await self._consumer.topics())

    async def begins(self, partitions: Sequence[TopicPartition] | None = None) -> dict[TopicPartition, int]:
        """First offset that the log holds, by partition: of `partitions`, or of the assigned ones."""
        return await _ask_twice(self._consumer.beginning_offsets, partitions or self.partitions)

    async def ends(self, partitions: Sequence[TopicPartition] | None = None) -> dict[TopicPartition, int]:
        """Offset after the last record, by partition: of `partitions`, or of the assigned ones."""
        return await _ask_twice(self._consumer.end_offsets, partitions or self.partitions)

    async def offsets_at(self, timestamp_ms: int) -> dict[TopicPartition, int | None]:
        """Offset of the first record appended at a wall time or later, by partition; None for none."""
        times = dict.fromkeys(self.partitions, max(timestamp_ms, 0))
        records = await self._consumer.offsets_for_times(times)
        return {tp: None if records.get(tp) is None else records[tp].offset for tp in self.partitions}

    def seek(self, offsets: Offsets) -> None:
        """Go on at these offsets. After `assign`, give every partition its offset before the next await."""
        if not self._assigned:
            # Not earlier: aiokafka fails later for a partition that has been without an offset.
            self._consumer.assign(list(self.partitions))
            self._assigned = True
        for partition, offset in offsets.items():
            self._consumer.seek(partition, offset)

    async def seek_to_begins(self) -> None:
        """Go on at the first record of every partition."""
        self.seek(await self.begins())

    async def positions(self) -> dict[TopicPartition, int]:
        """By partition; past the records of the last poll and past offsets without a record."""
        return {partition: await self._consumer.position(partition) for partition in self.partitions}

    async def poll(self, timeout_ms: int = POLL_MS, max_records: int | None = None) -> Polled:
        """The next records, or none after `timeout_ms`; a bounded poll is shared over the partitions."""
        most = max_records or self._max_records
        if most is not None:
            return await shared_poll(self._fetch, self._unpaused(), timeout_ms, most)
        polled: Polled = await self._consumer.getmany(timeout_ms=timeout_ms)
        return polled

    async def _fetch(self, partitions: Sequence[TopicPartition], wait_ms: int, most: int) -> Polled:
        polled: Polled = await self._consumer.getmany(*partitions, timeout_ms=wait_ms, max_records=most)
        return polled

    def _unpaused(self) -> list[TopicPartition]:
        paused = self._consumer.paused()
        return [tp for tp in self.partitions if tp not in paused]

    def pause(self, *partitions: TopicPartition) -> None:
        """Leave partitions out of polls until `resume`."""
        self._consumer.pause(*partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        """Take partitions into polls again."""
        self._consumer.resume(*partitions)

    def known_ends(self) -> dict[TopicPartition, int]:
        """The ends that came with the last fetches, without asking; partitions never fetched are left out."""
        if not self._assigned:
            return {}
        ends = {partition: self._consumer.highwater(partition) for partition in self.partitions}
        return {partition: end for partition, end in ends.items() if end is not None}

    async def lags(self) -> dict[TopicPartition, int]:
        """Records between position and the known end, by partition."""
        positions = await self.positions()
        return {tp: max(end - positions[tp], 0) for tp, end in self.known_ends().items()}

    async def read_until(self, ends: Offsets) -> AsyncIterator[tuple[TopicPartition, Sequence[Any], int]]:
        """Read every partition up to its end, from where it is.

        Yields (partition, records before the end, position) for each partition of each poll, also if it
        brought none. A partition at its end is paused there.
        """
        unread = {tp for tp, position in (await self.positions()).items() if position < ends[tp]}
        self.pause(*(tp for tp in self.partitions if tp not in unread))
        self.resume(*unread)
        while unread:
            polled = await self.poll()
            for tp in sorted(unread, key=lambda tp: (tp.topic, tp.partition)):
                position, end = await self._consumer.position(tp), ends[tp]
                yield tp, [record for record in polled.get(tp, ()) if record.offset < end], min(position, end)
                if position >= end:
                    unread.discard(tp)
                    self.pause(tp)
                    self.seek({tp: end})  # what came after it is for the next reading


async def _ask_twice(ask: Callable[[Sequence[TopicPartition]], Awaitable[Any]], tps: Sequence[Any]) -> Any:
    """An answer of the broker. If this process is paused meanwhile, the question times out on waking."""
    try:
        return await ask(tps)
    except KafkaTimeoutError:
        return await ask(tps)


def topic_reader(
    bootstrap: str,
    partitions: Sequence[TopicPartition],
    plan: FetchPlan = PROMPT,
    client_id: str = "fraudsim",
) -> TopicReader:
    """A reader of `partitions`, not yet started. Make it within a running event loop."""
    decode_within_bounds()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        client_id=client_id,
        fetch_max_wait_ms=plan.wait_ms,
        fetch_min_bytes=plan.min_bytes,
        max_partition_fetch_bytes=plan.max_partition_bytes,
    )
    return TopicReader(consumer, partitions, plan.max_records)


@asynccontextmanager
async def open_reader(
    bootstrap: str,
    partitions: Sequence[TopicPartition],
    plan: FetchPlan = PROMPT,
    client_id: str = "fraudsim",
) -> AsyncIterator[TopicReader]:
    """A started reader of `partitions`, which is stopped at the end."""
    reader = topic_reader(bootstrap, partitions, plan, client_id)
    await reader.start()
    try:
        yield reader
    finally:
        await reader.stop()


def group_member(
    settings: Settings,
    group: str,
    name: str,
    topic: str,
    listener: ConsumerRebalanceListener,
    protocol: str | None = None,
) -> AIOKafkaConsumer:
    """A static member of a group, not yet started, by which Kafka assigns the partitions of `topic`.

    Args:
        protocol: Kafka keeps members of different protocols out of one group; None for the usual one.
    """
    assignor: type[Any] = RoundRobinPartitionAssignor
    if protocol is not None:
        assignor = type("NamedAssignor", (RoundRobinPartitionAssignor,), {"name": protocol})
    member = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap,
        group_id=group,
        group_instance_id=name,
        client_id=name,
        partition_assignment_strategy=(assignor,),
        session_timeout_ms=settings.session_timeout_ms,
        heartbeat_interval_ms=settings.session_timeout_ms // 5,
        enable_auto_commit=False,
        auto_offset_reset="latest",
    )
    member.subscribe([topic], listener=listener)
    return member


# Short calls, with an event loop running or without one. The metadata come by kafka-python, which needs no
# loop; the records by aiokafka, which knows every codec with one more package, not three.


@contextmanager
def _short_consumer(bootstrap: str) -> Iterator[Any]:
    from kafka import KafkaConsumer

    check_reachable(bootstrap)
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap.split(","), enable_auto_commit=False, allow_auto_create_topics=False
    )
    try:
        yield consumer
    finally:
        consumer.close()


def partitions_of(bootstrap: str, topics: Iterable[str]) -> dict[str, list[int]]:
    """The partition numbers of topics; none where a topic does not exist."""
    with _short_consumer(bootstrap) as consumer:
        return {topic: sorted(consumer.partitions_for_topic(topic) or ()) for topic in topics}


def existing_partitions(bootstrap: str, topics: Iterable[str]) -> dict[str, list[int]]:
    """The partition numbers of topics.

    Raises:
        FraudsimError: a topic does not exist.
    """
    partitions = partitions_of(bootstrap, topics)
    for topic, numbers in partitions.items():
        if not numbers:
            raise missing_topic(topic)
    return partitions


def missing_topic(topic: str) -> FraudsimError:
    return FraudsimError(f"topic {topic} does not exist: create the topics with `fraudsim topics`")


def log_ranges(bootstrap: str, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
    """First offset that the log holds, and offset after the last record, by partition."""
    from kafka import TopicPartition as KafkaPythonPartition

    by_partition = {KafkaPythonPartition(tp.topic, tp.partition): tp for tp in partitions}
    with _short_consumer(bootstrap) as consumer:
        begins, ends = consumer.beginning_offsets([*by_partition]), consumer.end_offsets([*by_partition])
    return {tp: (begins[own], ends[own]) for own, tp in by_partition.items()}


@contextmanager
def asking_ends(
    bootstrap: str, partitions: Iterable[TopicPartition]
) -> Iterator[Callable[[], dict[TopicPartition, int]]]:
    """A function that asks for the offset after the last record, by partition, over one open connection."""
    from kafka import TopicPartition as KafkaPythonPartition

    by_partition = {KafkaPythonPartition(tp.topic, tp.partition): tp for tp in partitions}
    with _short_consumer(bootstrap) as consumer:

        def ends() -> dict[TopicPartition, int]:
            offsets = consumer.end_offsets([*by_partition])
            return {tp: offsets[own] for own, tp in by_partition.items()}

        yield ends


def read_to_end(bootstrap: str, partition: TopicPartition, from_offset: int = 0) -> tuple[list[Any], int]:
    """The records of a partition from an offset to the present end, and that end.

    Raises:
        FraudsimError: see `pass_to_end`.
    """
    records: list[Any] = []
    return records, pass_to_end(bootstrap, partition, from_offset, records.extend)


def pass_to_end(
    bootstrap: str, partition: TopicPartition, from_offset: int, use: Callable[[Sequence[Any]], None]
) -> int:
    """Pass the records of a partition from an offset to the present end to `use`, poll by poll.

    Returns that end.

    Raises:
        FraudsimError: the topic does not exist, no broker can be reached, or it sends nothing for a minute.
    """
    check_reachable(bootstrap)
    with ThreadPoolExecutor(1) as thread:  # this thread may have an event loop already
        return thread.submit(asyncio.run, _pass_to_end(bootstrap, partition, from_offset, use)).result()


async def _pass_to_end(
    bootstrap: str, partition: TopicPartition, from_offset: int, use: Callable[[Sequence[Any]], None]
) -> int:
    async with open_reader(bootstrap, [partition], SHORT) as reader:
        listed_by = time.monotonic() + LISTED_WITHIN_S
        while partition.topic not in await reader.topics():
            if time.monotonic() > listed_by:
                raise missing_topic(partition.topic)
            await asyncio.sleep(0.1)
        begin, end = (await reader.begins())[partition], (await reader.ends())[partition]
        reader.seek({partition: max(begin, from_offset)})
        give_up_at = time.monotonic() + TIMEOUT_S
        async for _, polled, _ in reader.read_until({partition: end}):
            if polled:
                use(polled)
                give_up_at = time.monotonic() + TIMEOUT_S
            elif time.monotonic() > give_up_at:
                raise FraudsimError(f"{partition.topic} cannot be read: no answer from Kafka at {bootstrap}")
    return int(end)
