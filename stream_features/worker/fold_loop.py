"""The worker's loop: collects what is delivered into batches, and commits them."""

import asyncio
import time
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from redis.exceptions import RedisError

from fraudsim import metrics
from fraudsim.log.clock_log import ClockLog
from fraudsim.process.garbage_collection import freeze_gc
from fraudsim.settings import Settings
from stream_features.store.idle_keys import IdleKeySweep
from stream_features.store.state_store import RedisFullError, StateStore
from stream_features.worker.assignment import SlotAssignment
from stream_features.worker.batch_folder import BatchFolder, FoldResources
from stream_features.worker.inbox import Delivery, Inbox
from stream_features.worker.positions import Positions

IDLE_HEARTBEAT_S: Final = 0.1
REDIS_RETRY_S: Final = 0.2
SWEEP_EVERY_S: Final = 1.0
MEMORY_EVERY_S: Final = 5.0
"""Interval between two questions about Redis's memory: some 0.2 ms each."""


class FoldLoop:
    """Folds what arrives in the inbox, batch by batch."""

    def __init__(
        self, resources: FoldResources, batch_folder: BatchFolder, positions: Positions, inbox: Inbox
    ) -> None:
        self._max_batch = resources.settings.worker_max_batch
        self._store = resources.store
        self._log = resources.log
        self._batch_folder = batch_folder
        self._slot_states = batch_folder.slot_states
        self._positions = positions
        self._inbox = inbox
        self._sweep = IdleKeySweep(resources.store, resources.clock_log.clock)
        self._next_sweep_s = 0.0
        self._next_memory_s = 0.0

    async def run(self) -> None:
        """Fold for ever."""
        while True:
            try:
                await self._export_memory_if_due()
                await self._finish_catch_up()
                if self._positions.slots_changed or self._inbox.position_lost:
                    await self._positions.take_over_slots()
                await self._sweep_if_due()  # a full Redis, too: it refuses writes, and lets keys be deleted
                await self.fold_queue()
                self._positions.check_ahead()
            except RedisFullError as error:
                # Nothing of the refused slots was written: the same records are folded again.
                metrics.REDIS_FULL.inc()
                self._log.error("redis_full", error=str(error))
                self._inbox.mark_position_lost()
                await asyncio.sleep(REDIS_RETRY_S)
            except RedisError as error:
                # The outcome of a write under way is unknown: continue from the stored watermarks.
                self._log.warning("redis_away", error=str(error))
                self._inbox.mark_position_lost()
                await asyncio.sleep(REDIS_RETRY_S)
            metrics.HEARTBEAT.set_to_current_time()

    async def fold_queue(self) -> None:
        """Fold what is queued batch by batch; after an idle interval, send the heartbeat instead."""
        inbox = self._inbox
        try:
            await asyncio.wait_for(inbox.wake_up.wait(), IDLE_HEARTBEAT_S)
        except TimeoutError:
            await self._mark_fresh()
            return
        inbox.wake_up.clear()
        if not self._slot_states.owned:
            inbox.clear()
            return
        while not (inbox.is_empty or inbox.position_lost):
            await self._collect_batch()
            await self._commit()
            await self._finish_catch_up()  # without waiting for the end of a backlog
            if self._positions.slots_changed:
                return

    async def _collect_batch(self) -> None:
        """Collect deliveries until the queue is empty, the batch is full, or a gap appears."""
        inbox = self._inbox
        while not (inbox.is_empty or inbox.position_lost or self._slot_states.is_full(self._max_batch)):
            delivery = inbox.take()
            if delivery is not None:
                await self.collect(delivery)

    async def collect(self, delivery: Delivery) -> None:
        """Collect the accepted records of one delivery, unless records before it are missing."""
        source = self._positions.source_of(delivery.topic, delivery.partition)
        next_offset = self._batch_folder.next_offsets[source]
        if delivery.first > next_offset:
            self._log.warning("gap", source=source, expected=next_offset, got=delivery.first)
            self._inbox.mark_position_lost()
            return
        await self._batch_folder.add_records(source, delivery.records, delivery.end)
        self._positions.check_reread_done()

    async def _commit(self) -> None:
        """Commit the batch, by the steps that `BatchFolder.commit` lists."""
        if not await self._batch_folder.commit(self._positions.fresh_at_ms()):
            self._inbox.mark_position_lost()

    async def _sweep_if_due(self) -> None:
        """One step of the sweep of idle keys, every `SWEEP_EVERY_S`."""
        now_s = time.monotonic()
        if now_s < self._next_sweep_s or self._inbox.position_lost:
            return
        self._next_sweep_s = now_s + SWEEP_EVERY_S
        ready = self._slot_states.ready
        metrics.KEYS_SWEPT.inc(
            await self._sweep.step(lambda: {number: slot.stored for number, slot in ready.items()})
        )

    async def _export_memory_if_due(self) -> None:
        """Every `MEMORY_EVERY_S`: the alert on it comes before Redis is full."""
        now_s = time.monotonic()
        if now_s < self._next_memory_s:
            return
        self._next_memory_s = now_s + MEMORY_EVERY_S
        memory = await self._store.memory()
        metrics.REDIS_MEMORY.set(memory.used)
        metrics.REDIS_MAX_MEMORY.set(memory.limit)

    async def _finish_catch_up(self) -> None:
        if self._positions.finish_catch_up():
            await self._commit()  # the caught-up slots' rows: the next record may be long in coming

    async def _mark_fresh(self) -> None:
        """The idle heartbeat."""
        if not await self._batch_folder.await_write():
            self._inbox.mark_position_lost()
        if not self._slot_states.owned or self._inbox.position_lost:
            return
        fresh_at_ms = self._positions.fresh_at_ms()
        if fresh_at_ms is None:
            return
        stored = {number: slot.stored for number, slot in self._slot_states.ready.items()}
        if not await self._store.mark_fresh(stored, fresh_at_ms):
            self._inbox.mark_position_lost()


async def fold_log(
    settings: Settings, store: StateStore, clock_log: ClockLog, log: Any, inbox: Inbox, consumer: Any
) -> None:
    """Join the group and fold for ever what `consumer`, the transport's, puts into the inbox."""
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap, acks="all", enable_idempotence=True
    )
    assignment = SlotAssignment(settings, inbox.wake_up.set)
    resources = FoldResources(settings, store, clock_log, producer, log)
    batch_folder = BatchFolder(resources)
    positions = Positions(resources, batch_folder, assignment, inbox, consumer)
    await producer.start()
    await assignment.start()
    freeze_gc()
    tasks = [
        asyncio.create_task(assignment.stay_in_group()),
        asyncio.create_task(FoldLoop(resources, batch_folder, positions, inbox).run()),
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await positions.cancel_catch_up()
        await assignment.stop()
        await producer.stop()
        await clock_log.close()
