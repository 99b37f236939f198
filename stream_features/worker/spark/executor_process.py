"""The Python process of an executor: accepts partitions of the log, folds slots. What it keeps is a cache.

Spark gives a task to any process. So each keeps what its next tasks may need: the ids of recent offsets of
the partitions that it accepted, and the states of the slots that it folded. The ids are those up to an
offset: where a batch begins later, the records between are read again, and where nothing fits, the previous
50,000 (`Acceptance.begin`). The states count only while Redis has the watermark that was written with them.
A killed process therefore costs time, and nothing else.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, Final

from aiokafka import AIOKafkaProducer, TopicPartition

from fraudsim.log.acceptance import Acceptance, Rejected
from fraudsim.log.clock import Clock
from fraudsim.log.clock_log import ClockLog
from fraudsim.log.consumer import FetchPlan, TopicReader, topic_reader
from fraudsim.settings import Settings
from stream_features.store.connection import RedisClient
from stream_features.store.state_store import StateStore
from stream_features.vector import SIZE
from stream_features.worker.dead_letters import DeadLetterWriter
from stream_features.worker.slot_states import SlotStates
from stream_features.worker.spark.batch_plan import BatchPlan, source_topic
from stream_features.worker.spark.slot_fold import encode_outcome, fold_slot
from stream_features.worker.spark.slot_packets import SlotPacket, SlotRouter, decode_packet

Packets = Iterable[tuple[int, bytes]]
"""(slot, encoded packet)."""
FETCH: Final = FetchPlan(wait_ms=20, max_partition_bytes=1 << 21, max_records=5_000)
_processes: Final[dict[tuple[str, str, str], "ExecutorProcess"]] = {}


class ExecutorProcess:
    """Kafka, Redis, and what is remembered of one log."""

    def __init__(self, settings: Settings) -> None:
        self.loop = asyncio.new_event_loop()
        self._settings = settings
        self._clock_log = ClockLog(settings.kafka_bootstrap, Clock())
        self._acceptance = Acceptance(self._clock_log.clock, SIZE)
        self._client = RedisClient.with_long_timeouts(settings.redis_url)
        self._store = StateStore(self._client)
        self._states: dict[int, SlotStates] = {}
        self._reader: TopicReader | None = None
        self._producer: Any = None

    async def accept(self, plan: BatchPlan, partition: int) -> list[tuple[int, bytes]]:
        """Read and accept a batch's records of a partition of both topics: the packets of its slots.

        Its dead letters are acknowledged when this returns, and no slot is folded before.
        """
        n, slots = self._settings.partitions, self._settings.slots
        sources = {
            TopicPartition(source_topic(source, n), partition): source
            for source in (partition, partition + n)
            if plan.starts[source] < plan.ends[source]
        }
        if not sources:
            return []
        routers = {tp: SlotRouter(s, n, slots, plan.home_offsets[s]) for tp, s in sources.items()}
        next_offsets = {
            tp: self._acceptance.begin(tp.topic, partition, plan.starts[s], plan.log_begins[s])
            for tp, s in sources.items()
        }
        letters = DeadLetterWriter(self)
        reader = await self._assigned_reader(list(sources))
        reader.seek(next_offsets)
        async for tp, records, position in reader.read_until({tp: plan.ends[s] for tp, s in sources.items()}):
            await self._clock_log.catch_up_for(records)
            start, router = plan.starts[sources[tp]], routers[tp]
            for record, event in self._acceptance.events(tp.topic, partition, records, next_offsets[tp]):
                if record.offset >= start and router.add(record.offset, event):
                    assert isinstance(event, Rejected)
                    await letters.add(record, event)
            next_offsets[tp] = max(next_offsets[tp], position)
        await letters.await_acks()
        return [packet for router in routers.values() for packet in router.packets()]

    async def fold(self, plan: BatchPlan, packets: Packets) -> list[bytes]:
        """Fold the slots that packets name. Returns their encoded outcomes."""
        by_slot: defaultdict[int, list[SlotPacket]] = defaultdict(list)
        for slot, packet in packets:
            rows = by_slot[slot]
            if packet:
                rows.append(decode_packet(packet))
        return [encode_outcome(outcome) for outcome in await self._fold_all(plan, by_slot)]

    async def _fold_all(self, plan: BatchPlan, by_slot: dict[int, list[SlotPacket]]) -> list[Any]:
        settings, horizon_ms = self._settings, plan.segment.horizon_ms
        for slot in by_slot.keys() - self._states.keys():
            self._states[slot] = SlotStates(settings.partitions, settings.slots, horizon_ms)
        return await asyncio.gather(
            *(fold_slot(self._store, self._states[slot], plan, slot, rows) for slot, rows in by_slot.items())
        )

    async def _assigned_reader(self, partitions: list[TopicPartition]) -> TopicReader:
        if self._reader is None:
            reader = topic_reader(self._settings.kafka_bootstrap, partitions, FETCH, "features-spark")
            await reader.start()
            self._reader = reader
        self._reader.assign(partitions)
        return self._reader

    async def send(self, topic: str, **record: Any) -> Any:
        """Send a record, by a producer that is made at the first one."""
        if self._producer is None:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._settings.kafka_bootstrap, acks="all", enable_idempotence=True
            )
            await producer.start()
            self._producer = producer
        return await self._producer.send(topic, **record)

    async def close(self) -> None:
        """Close the connections, after an error that leaves them in doubt."""
        for client in (self._reader, self._producer):
            if client is not None:
                with suppress(Exception):
                    await client.stop()
        self._reader = self._producer = None
        await self._clock_log.close()
        await self._client.close()


def _process(plan: BatchPlan) -> ExecutorProcess:
    settings = plan.settings
    key = settings.kafka_bootstrap, settings.redis_url, plan.segment.log_id
    if key not in _processes:
        _processes[key] = ExecutorProcess(settings)
    return _processes[key]


def accepting(plan: BatchPlan) -> Callable[[int, Iterator[int]], Packets]:
    """The task that accepts the partitions it is given."""

    def accept(_: int, partitions: Iterator[int]) -> Packets:
        process = _process(plan)
        try:
            for partition in partitions:
                yield from process.loop.run_until_complete(process.accept(plan, partition))
        except BaseException:
            process.loop.run_until_complete(process.close())
            raise

    return accept


def folding(plan: BatchPlan) -> Callable[[Packets], Iterable[bytes]]:
    """The task that folds the slots it is given."""

    def fold(packets: Packets) -> Iterable[bytes]:
        process = _process(plan)
        return process.loop.run_until_complete(process.fold(plan, packets))

    return fold
