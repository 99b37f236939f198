"""The worker's loop: owns the assigned slots, steers where reading goes on, and folds what is delivered."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaProducer, TopicPartition
from faust.types import TP
from redis.exceptions import RedisError

from fraudsim import metrics
from fraudsim.log.clock_log import ClockLog
from fraudsim.log.topics import LABELS, TRANSACTIONS
from fraudsim.process.garbage_collection import freeze_gc
from fraudsim.settings import Settings
from stream_features.store.keys import watermark_key
from stream_features.store.state_store import StateStore
from stream_features.store.watermark import check_range, check_watermark, decode_watermark
from stream_features.worker.assignment import SlotAssignment
from stream_features.worker.batch_folder import BatchFolder
from stream_features.worker.catch_up import CatchUp, FencedError, lagging_slots
from stream_features.worker.dead_letters import DeadLetterWriter
from stream_features.worker.transport import Delivery

IDLE_HEARTBEAT_S: Final = 0.1
REDIS_RETRY_S: Final = 0.2
NOT_PRIMED_RETRY_S: Final = 0.5
MAX_QUEUED_RECORDS: Final = 20_000
"""Records delivered and not folded yet; beyond that the agent waits."""
MAX_CATCH_UP_RECORDS: Final = 2_000_000
"""Records read during a catch-up, whose rows for the lagging slots wait in memory. Beyond that, all slots
start again from their watermarks."""
MAX_AHEAD_S: Final = 5.0
"""A read position that stays ahead of what was delivered for this long has skipped records: rewind."""


@dataclass
class FoldLoop:
    """Implements the transport's `Feed`, and folds what the transport delivers."""

    settings: Settings
    store: StateStore
    clock_log: ClockLog
    log: Any
    epoch: int = 0
    _expected_epoch: int = 0
    _rewind: dict[TP, int] | None = None
    _assigned_slots: frozenset[int] = frozenset()
    _position_lost: bool = True
    """Slots have to be taken over anew, and the log rewound to their watermarks."""
    _queue: deque[Delivery] = field(default_factory=deque)
    _queued_records: int = 0
    _wake_up: asyncio.Event = field(default_factory=asyncio.Event)
    _queue_drained: asyncio.Event = field(default_factory=asyncio.Event)
    _ahead: frozenset[tuple[int, int, int]] = frozenset()
    """(source, read position, next offset) of the sources that were ahead at the last position check."""
    _next_check_s: float = 0.0
    _start_offsets: Sequence[int] = field(init=False)
    """First offset to fold since the last rewind, by source."""
    _reread_until: Sequence[int] = field(init=False)
    """The start offsets, or where reading stood before the rewind if that is later: up to there, records are
    read for the second time."""
    _reread_done: asyncio.Event = field(default_factory=asyncio.Event)
    _catch_up_task: asyncio.Task[dict[int, bytes]] | None = None
    consumer: Any = None

    def __post_init__(self) -> None:
        n = self.settings.partitions
        self.batch_folder = BatchFolder(self.settings, self.store, self.clock_log, self.log)
        self.slot_states = self.batch_folder.slot_states
        self.sources = [TP(topic, p) for topic in (TRANSACTIONS, LABELS) for p in range(n)]
        self._start_offsets = self._reread_until = [0] * len(self.sources)

    # The transport's feed

    def take_rewind(self) -> Mapping[TP, int] | None:
        offsets, self._rewind = self._rewind, None
        if offsets is not None:
            self.epoch += 1
        return offsets

    def mark_position_lost(self) -> None:
        self._position_lost = True
        self._wake_up.set()

    def set_assigned_slots(self, slots: frozenset[int]) -> None:
        self._assigned_slots = slots
        self._wake_up.set()

    async def deliver(self, delivery: Delivery) -> None:
        """Queue a delivery of the agent; waits while too much is queued."""
        while self._queued_records > MAX_QUEUED_RECORDS:
            self._queue_drained.clear()
            await self._queue_drained.wait()
        self._queue.append(delivery)
        self._queued_records += len(delivery.records)
        self._wake_up.set()

    # The loop

    async def run(self) -> None:
        """Fold for ever."""
        assignment = SlotAssignment(self.settings, self.set_assigned_slots)
        producer = AIOKafkaProducer(
            bootstrap_servers=self.settings.kafka_bootstrap, acks="all", enable_idempotence=True
        )
        await producer.start()
        await assignment.start()
        freeze_gc()
        membership = asyncio.create_task(assignment.stay_in_group())
        self.batch_folder.dead_letters = DeadLetterWriter(producer)
        self.admin = assignment.consumer
        try:
            while True:
                if membership.done():
                    membership.result()
                try:
                    await self._finish_catch_up()
                    if self._assigned_slots != self.slot_states.owned.keys() or self._position_lost:
                        await self._take_over_slots()
                    await self._fold_queue()
                    self._check_position()
                except RedisError as error:
                    # The outcome of a write under way is unknown: continue from the stored watermarks.
                    self.log.warning("redis_away", error=str(error))
                    self._position_lost = True
                    await asyncio.sleep(REDIS_RETRY_S)
                metrics.HEARTBEAT.set_to_current_time()
        finally:
            await self._cancel_catch_up()
            membership.cancel()
            await assignment.stop()
            await producer.stop()
            await self.clock_log.close()

    async def _fold_queue(self) -> None:
        """Fold the queued deliveries batch by batch; after an idle interval, send the heartbeat instead."""
        try:
            await asyncio.wait_for(self._wake_up.wait(), IDLE_HEARTBEAT_S)
        except TimeoutError:
            if await self.batch_folder.await_write():
                await self._mark_fresh()
            else:
                self._position_lost = True
            return
        self._wake_up.clear()
        if not self.slot_states.owned:
            self._clear_queue()
            return
        while self._queue and not self._position_lost:
            await self._collect_batch()
            self._queue_drained.set()
            await self._commit()
            await self._finish_catch_up()  # without waiting for the end of a backlog
            if self._assigned_slots != self.slot_states.owned.keys():
                return

    async def _collect_batch(self) -> None:
        """Collect deliveries until the queue is empty, the batch is full, or a gap appears."""
        while (
            self._queue
            and not self._position_lost
            and not self.slot_states.is_full(self.settings.worker_max_batch)
        ):
            delivery = self._queue.popleft()
            self._queued_records -= len(delivery.records)
            if delivery.epoch == self._expected_epoch:
                await self._collect(delivery)

    async def _collect(self, delivery: Delivery) -> None:
        """Collect the accepted records of one delivery, unless records before it are missing."""
        source = delivery.partition + (self.settings.partitions if delivery.topic == LABELS else 0)
        next_offset = self.batch_folder.next_offsets[source]
        if delivery.first > next_offset:
            self.log.warning("gap", source=source, expected=next_offset, got=delivery.first)
            self._position_lost = True
            return
        await self.batch_folder.add_records(source, delivery.records, delivery.end)
        self._check_reread_done()

    async def _commit(self) -> None:
        """Commit the batch, by the steps that `BatchFolder.commit` lists."""
        if not await self.batch_folder.commit(self._fresh_at_ms()):
            self._position_lost = True

    def _clear_queue(self) -> None:
        self._queue.clear()
        self._queued_records = 0

    # Taking over slots

    async def _take_over_slots(self) -> None:
        """Own exactly the assigned slots, as Redis has them, and rewind to the smallest watermark."""
        await self._cancel_catch_up()
        with contextlib.suppress(RedisError):
            await self.batch_folder.await_write()  # the watermarks read below tell its outcome
        slots = self._assigned_slots
        self.slot_states.release(set(self.slot_states.owned) - slots)
        stored = await self._read_stored(slots)
        if stored is None:
            return
        begins, ends = await self._log_range()
        watermarks = {slot: decode_watermark(value) for slot, value in stored.items()}
        for slot, watermark in watermarks.items():
            check_watermark(
                watermark, slot, self.clock_log.clock.first, len(self.sources), self.settings.slots
            )
            check_range(watermark, slot, begins, ends)
        lagging = lagging_slots(watermarks, self.settings.catch_up_beyond)
        for slot in stored.keys() - lagging:
            self.slot_states.own(slot, stored[slot])
        self.slot_states.release(lagging)
        metrics.SLOTS_OWNED.set(len(slots))
        self._position_lost = False
        if slots:
            self._rewind_to_watermarks(slots, {slot: stored[slot] for slot in lagging}, begins, ends)

    async def _read_stored(self, slots: frozenset[int]) -> dict[int, bytes] | None:
        """Each slot's encoded watermark; None, after a pause, where a slot is not primed."""
        values = await self.store.read([watermark_key(slot) for slot in sorted(slots)])
        stored = {slot: value for slot, value in zip(sorted(slots), values, strict=True) if value is not None}
        if len(stored) == len(slots):
            return stored
        absent = sorted(slots - stored.keys())
        self.log.info("slots_not_primed", slots=absent, next_step="fraudsim features prime")
        self.slot_states.release(list(self.slot_states.owned))
        await asyncio.sleep(NOT_PRIMED_RETRY_S)
        return None

    async def _log_range(self) -> tuple[list[int], list[int]]:
        """First offset that the log holds, and the offset after the last, by source."""
        tps = [TopicPartition(*tp) for tp in self.sources]
        begins = await self.admin.beginning_offsets(tps)
        ends = await self.admin.end_offsets(tps)
        return [begins[tp] for tp in tps], [ends[tp] for tp in tps]

    def _rewind_to_watermarks(
        self, slots: frozenset[int], lagging: Mapping[int, bytes], begins: Sequence[int], ends: Sequence[int]
    ) -> None:
        """Ask the transport for a rewind to the ready slots' watermarks; start the catch-up of the others.

        Args:
            slots: all that were assigned.
            lagging: encoded watermarks of the lagging slots.
            begins: first offset that the log holds, by source.
            ends: the offset after the last, by source.
        """
        self._clear_queue()
        self._queue_drained.set()
        reached = [max(n, r) for n, r in zip(self.batch_folder.next_offsets, self._reread_until, strict=True)]
        self._start_offsets = start = self.batch_folder.begin(begins)
        self._reread_until = [
            max(first, min(offset, end)) for first, offset, end in zip(start, reached, ends, strict=True)
        ]
        for slot, stored in lagging.items():
            self.slot_states.own_lagging(slot, stored, start)
        self._reread_done.clear()
        self._check_reread_done()
        self._rewind = dict(zip(self.sources, self.batch_folder.next_offsets, strict=True))
        self._expected_epoch = self.epoch + 1
        self._ahead = frozenset()
        self.log.info("place_taken", slots=sorted(slots - lagging.keys()), start=start)
        if lagging:
            self._catch_up_task = asyncio.create_task(self._catch_up(lagging, begins, start))
            self._catch_up_task.add_done_callback(lambda _: self._wake_up.set())

    # Catch-up of lagging slots

    async def _catch_up(
        self, lagging: Mapping[int, bytes], begins: Sequence[int], until: Sequence[int]
    ) -> dict[int, bytes]:
        await self._reread_done.wait()  # the ready slots are nearly up to date: they go first
        catch_up = CatchUp(
            self.settings, self.store, self.clock_log, self.batch_folder.dead_letters, self.log
        )
        return await catch_up.run(lagging, begins, until)

    async def _cancel_catch_up(self) -> None:
        if self._catch_up_task is not None:
            task, self._catch_up_task = self._catch_up_task, None
            task.cancel()
            await asyncio.wait([task])

    async def _finish_catch_up(self) -> None:
        """Mark caught-up slots as ready; where the catch-up was fenced, take over all slots anew."""
        task = self._catch_up_task
        if task is None:
            return
        if not task.done():
            read_records = sum(self.batch_folder.next_offsets) - sum(self._start_offsets)
            if read_records > MAX_CATCH_UP_RECORDS:
                self._position_lost = True  # the next catch-up continues from the stored watermarks
            return
        self._catch_up_task = None
        try:
            caught_up = task.result()
        except FencedError:
            self._position_lost = True
            return
        for slot, stored in caught_up.items():
            self.slot_states.finish_catch_up(slot, stored)
        await self._commit()  # their pending rows: the next record may be long in coming

    # Read position and freshness

    def _check_reread_done(self) -> None:
        offsets = zip(self.batch_folder.next_offsets, self._reread_until, strict=True)
        if all(next_offset >= until for next_offset, until in offsets):
            self._reread_done.set()

    def _check_position(self) -> None:
        """Rewind again where the last rewind had no effect or was undone: no delivery would show that."""
        now_s = time.monotonic()
        idle = self.slot_states.owned and not self._queue and self.epoch == self._expected_epoch
        if now_s < self._next_check_s or not idle or self._position_lost:
            return
        self._next_check_s = now_s + MAX_AHEAD_S
        next_offsets = self.batch_folder.next_offsets
        ahead = frozenset(
            (source, position, next_offsets[source])
            for source, tp in enumerate(self.sources)
            if (position := self.consumer.read_position(tp)) is not None and position > next_offsets[source]
        )
        if ahead & self._ahead:
            self.log.warning("strayed", sources=sorted(source for source, _, _ in ahead & self._ahead))
            self._position_lost = True
        self._ahead = ahead

    def _fresh_at_ms(self) -> int | None:
        """Wall-clock time up to which the log is known to be read completely; None where it is unknown.

        A source read to its end is complete up to the last check of that end, any other up to the broker's
        time of the last record read.
        """
        if self.consumer is None:
            return None
        lag = 0
        next_offsets, complete_until_ms = self.batch_folder.next_offsets, self.batch_folder.complete_until_ms
        for source, tp in enumerate(self.sources):
            end = self.consumer.highwater(tp)
            if end is None:
                continue
            lag += max(0, end - next_offsets[source])
            if next_offsets[source] >= end:
                complete_until_ms[source] = max(
                    complete_until_ms[source], self.consumer.end_checked_at_ms(tp)
                )
        metrics.CONSUMER_LAG.labels(self.settings.worker_name, "all").set(lag)
        if not self._reread_done.is_set():
            return None  # the state, and the freshness stored with it, are ahead of what is read again
        return min(complete_until_ms) or None

    async def _mark_fresh(self) -> None:
        """The idle heartbeat."""
        if not self.slot_states.owned or self._position_lost:
            return
        fresh_at_ms = self._fresh_at_ms()
        if fresh_at_ms is not None:
            await self.store.mark_fresh(self.slot_states.ready, fresh_at_ms)
