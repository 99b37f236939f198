"""The feature worker: a Faust app whose agent feeds a loop that folds the log into Redis.

The agent takes whole polls off Kafka; the loop judges each record, folds what counts into the slots it
owns, sets aside what is not valid, and writes each slot's blobs and watermark in one fenced call.
"""

import asyncio
import contextlib
import os
import sys
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import faust
from aiokafka import AIOKafkaProducer, TopicPartition
from faust.types import TP
from redis.exceptions import RedisError
from yarl import URL

from fraudsim import metrics
from fraudsim.errors import FraudsimError
from fraudsim.garbage_collection import freeze_gc
from fraudsim.log.clock_log import ClockLog, open_clock
from fraudsim.log.topics import LABELS, TRANSACTIONS
from fraudsim.logs import set_up_logs
from fraudsim.settings import Settings
from stream_features.kernels.state import warm_up_kernel
from stream_features.store.connection import RedisLink
from stream_features.store.state_store import StateStore, watermark_key
from stream_features.store.watermark import check_range, check_watermark, decode_watermark
from stream_features.worker.assignment import SlotOwner
from stream_features.worker.batch_folder import BatchFolder
from stream_features.worker.catch_up import CatchUp, FencedError, far_behind
from stream_features.worker.dead_letters import DeadLetterWriter
from stream_features.worker.transport import Delivery, WholePollSchema, WholePollTransport

IDLE_BEAT_S: Final = 0.1
REDIS_AGAIN_S: Final = 0.2
QUEUED_RECORDS: Final = 20_000
"""Records taken off Kafka and not folded yet; past that the agent waits."""
MAX_WAITING_RECORDS: Final = 2_000_000
"""Read while slots are caught up: what they take of it waits in memory. Past that, all begin again."""
STRAYED_S: Final = 5.0
"""Reading that stays ahead of what was delivered for this long has left out something, and is rewound."""


@dataclass
class FoldLoop:
    """Steers where reading goes on (the transport's feed) and folds what it delivers."""

    settings: Settings
    store: StateStore
    clock_log: ClockLog
    log: Any
    epoch: int = 0
    _expected_epoch: int = 0
    _rewind: dict[TP, int] | None = None
    _wanted: frozenset[int] = frozenset()
    _out_of_place: bool = True
    _queue: deque[Delivery] = field(default_factory=deque)
    _queued: int = 0
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _drained: asyncio.Event = field(default_factory=asyncio.Event)
    _strayed: frozenset[tuple[int, int, int]] = frozenset()
    _look_at: float = 0.0
    _began_at: Sequence[int] = field(init=False)
    """First offsets to fold since the last place was taken."""
    _back_at: Sequence[int] = field(init=False)
    """Where those are reached, and where reading stood before: what comes until then is read again."""
    _back: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once reading is there."""
    _catching_up: asyncio.Task[dict[int, bytes]] | None = None
    consumer: Any = None

    def __post_init__(self) -> None:
        n = self.settings.partitions
        self.gatherer = BatchFolder(self.settings, self.store, self.clock_log, self.log)
        self.folder = self.gatherer.folder
        self.sources = [TP(topic, p) for topic in (TRANSACTIONS, LABELS) for p in range(n)]
        self._began_at = self._back_at = [0] * len(self.sources)

    # The transport's feed

    def take_rewind(self) -> Mapping[TP, int] | None:
        offsets, self._rewind = self._rewind, None
        if offsets is not None:
            self.epoch += 1
        return offsets

    def lost_place(self) -> None:
        self._out_of_place = True
        self._arrived.set()

    def slots_changed(self, slots: frozenset[int]) -> None:
        self._wanted = slots
        self._arrived.set()

    async def deliver(self, delivery: Delivery) -> None:
        """Called by the agent; waits while too much is queued."""
        while self._queued > QUEUED_RECORDS:
            self._drained.clear()
            await self._drained.wait()
        self._queue.append(delivery)
        self._queued += len(delivery.records)
        self._arrived.set()

    # The loop

    async def run(self) -> None:
        """Fold for ever."""
        owner = SlotOwner(self.settings, self.slots_changed)
        producer = AIOKafkaProducer(
            bootstrap_servers=self.settings.kafka_bootstrap, acks="all", enable_idempotence=True
        )
        await producer.start()
        await owner.start()
        freeze_gc()
        keeping = asyncio.create_task(owner.keep())
        self.gatherer.letters = DeadLetterWriter(producer)
        self.admin = owner.consumer
        try:
            while True:
                if keeping.done():
                    keeping.result()
                try:
                    await self._take_over_the_caught_up()
                    if self._wanted != self.folder.owned.keys() or self._out_of_place:
                        await self._take_place()
                    await self._next_batch()
                    self._check_place()
                except RedisError as error:
                    # Whatever was under way: the stored watermarks say where to go on.
                    self.log.warning("redis_away", error=str(error))
                    self._out_of_place = True
                    await asyncio.sleep(REDIS_AGAIN_S)
                metrics.HEARTBEAT.set_to_current_time()
        finally:
            await self._give_up_catching_up()
            keeping.cancel()
            await owner.stop()
            await producer.stop()

    async def _take_place(self) -> None:
        """Own exactly the wanted slots, as Redis has them, and rewind to the smallest watermark."""
        await self._give_up_catching_up()
        with contextlib.suppress(RedisError):
            await self.gatherer.settle()  # what became of it is read anew
        wanted = self._wanted
        self.folder.release(set(self.folder.owned) - wanted)
        stored = await self.store.read([watermark_key(s) for s in sorted(wanted)])
        if any(value is None for value in stored):
            absent = [s for s, value in zip(sorted(wanted), stored, strict=True) if value is None]
            self.log.info("slots_not_primed", slots=absent, next_step="fraudsim features prime")
            self.folder.release(list(self.folder.owned))
            await asyncio.sleep(0.5)
            return
        tps = [TopicPartition(*tp) for tp in self.sources]
        begin = await self.admin.beginning_offsets(tps)
        end = await self.admin.end_offsets(tps)
        begins, ends = [begin[tp] for tp in tps], [end[tp] for tp in tps]
        found = {slot: value for slot, value in zip(sorted(wanted), stored, strict=True) if value is not None}
        applied = {slot: decode_watermark(value) for slot, value in found.items()}
        for slot, its in applied.items():
            check_watermark(its, slot, self.clock_log.clock.first, len(self.sources), self.settings.slots)
            check_range(its, slot, begins, ends)
        slow = far_behind(applied, self.settings.catch_up_beyond)
        for slot in found.keys() - slow:
            self.folder.own(slot, found[slot])
        self.folder.release(slow)
        metrics.SLOTS_OWNED.set(len(wanted))
        self._out_of_place = False
        if not wanted:
            return
        self._queue.clear()
        self._queued = 0
        self._drained.set()
        before = [max(at, back) for at, back in zip(self.gatherer.next, self._back_at, strict=True)]
        self._began_at = start = self.gatherer.begin(begins)
        self._back_at = [max(first, min(at, end)) for first, at, end in zip(start, before, ends, strict=True)]
        for slot in slow:
            self.folder.expect(slot, found[slot], start)
        self._back.clear()
        self._look_whether_back()
        self._rewind = dict(zip(self.sources, self.gatherer.next, strict=True))
        self._expected_epoch = self.epoch + 1
        self._strayed = frozenset()
        self.log.info("place_taken", slots=sorted(wanted - slow), start=start)
        if slow:
            reading = self._catch_up({slot: found[slot] for slot in slow}, begins, start)
            self._catching_up = asyncio.create_task(reading)
            self._catching_up.add_done_callback(lambda _: self._arrived.set())

    async def _next_batch(self) -> None:
        try:
            await asyncio.wait_for(self._arrived.wait(), IDLE_BEAT_S)
        except TimeoutError:
            if await self.gatherer.settle():
                await self._beat()
            else:
                self._out_of_place = True
            return
        self._arrived.clear()
        if not self.folder.owned:
            self._queue.clear()
            self._queued = 0
            return
        while self._queue and not self._out_of_place:
            while (
                self._queue
                and not self._out_of_place
                and not self.folder.full(self.settings.worker_max_batch)
            ):
                delivery = self._queue.popleft()
                self._queued -= len(delivery.records)
                if delivery.epoch == self._expected_epoch:
                    await self._take(delivery)
            self._drained.set()
            await self._write()
            await self._take_over_the_caught_up()  # a backlog need not end for it
            if self._wanted != self.folder.owned.keys():
                return

    async def _take(self, delivery: Delivery) -> None:
        """Gather what counts of one delivery, unless something before it is missing."""
        source = delivery.partition + (self.settings.partitions if delivery.topic == LABELS else 0)
        if delivery.first > self.gatherer.next[source]:
            self.log.warning("gap", source=source, expected=self.gatherer.next[source], got=delivery.first)
            self._out_of_place = True
            return
        await self.gatherer.take(source, delivery.records, delivery.end)
        self._look_whether_back()

    def _look_whether_back(self) -> None:
        if all(at >= there for at, there in zip(self.gatherer.next, self._back_at, strict=True)):
            self._back.set()

    def _check_place(self) -> None:
        """Rewind again where the last rewind had no effect, or was undone, and nothing else would tell."""
        now = time.monotonic()
        settled = self.folder.owned and not self._queue and self.epoch == self._expected_epoch
        if now < self._look_at or not settled or self._out_of_place:
            return
        self._look_at = now + STRAYED_S
        ahead = frozenset(
            (source, place, self.gatherer.next[source])
            for source, tp in enumerate(self.sources)
            if (place := self.consumer.place(tp)) is not None and place > self.gatherer.next[source]
        )
        if ahead & self._strayed:
            self.log.warning("strayed", sources=sorted(source for source, _, _ in ahead & self._strayed))
            self._out_of_place = True
        self._strayed = ahead

    async def _write(self) -> None:
        if not await self.gatherer.write(self._fresh_at_ms()):
            self._out_of_place = True

    async def _catch_up(
        self, slow: Mapping[int, bytes], begins: Sequence[int], until: Sequence[int]
    ) -> dict[int, bytes]:
        await self._back.wait()  # the others, who are nearly there, shall not wait for twice the work
        catch_up = CatchUp(self.settings, self.store, self.clock_log, self.gatherer.letters, self.log)
        return await catch_up.run(slow, begins, until)

    async def _give_up_catching_up(self) -> None:
        if self._catching_up is not None:
            task, self._catching_up = self._catching_up, None
            task.cancel()
            await asyncio.wait([task])

    async def _take_over_the_caught_up(self) -> None:
        """Slots that are where the others are join them; where that failed, all places are taken anew."""
        task = self._catching_up
        if task is None or not task.done():
            if task is not None and sum(self.gatherer.next) - sum(self._began_at) > MAX_WAITING_RECORDS:
                self._out_of_place = True  # it begins again, from where it has come to
            return
        self._catching_up = None
        try:
            caught_up = task.result()
        except FencedError:
            self._out_of_place = True
            return
        for slot, stored in caught_up.items():
            self.folder.hand_over(slot, stored)
        await self._write()  # what was gathered for them; nothing else may come for long

    def _fresh_at_ms(self) -> int | None:
        """Wall-clock time up to which the log is known to be judged whole; None before all is known.

        A source read to its end is known up to the last look at that end, any other up to the broker's
        time of the last record judged.
        """
        if self.consumer is None:
            return None
        lag = 0
        for source, tp in enumerate(self.sources):
            end = self.consumer.highwater(tp)
            if end is None:
                continue
            lag += max(0, end - self.gatherer.next[source])
            if self.gatherer.next[source] >= end:
                self.gatherer.known_ms[source] = max(
                    self.gatherer.known_ms[source], self.consumer.looked_at_ms(tp)
                )
        metrics.CONSUMER_LAG.labels(self.settings.worker_name, "all").set(lag)
        if not self._back.is_set():
            return None  # the state is ahead of what is read again, and so is what was said of it
        return min(self.gatherer.known_ms) or None

    async def _beat(self) -> None:
        if not self.folder.owned or self._out_of_place:
            return
        fresh_at_ms = self._fresh_at_ms()
        if fresh_at_ms is not None:
            await self.store.mark_fresh(self.folder.ready, fresh_at_ms)


def build_app(settings: Settings, loop: FoldLoop) -> faust.App:
    """The Faust app around a fold loop. Its id is its own: a worker reads the whole log."""
    app = faust.App(
        f"fraudsim.{settings.worker_name}.{uuid.uuid4().hex[:8]}",
        broker=[URL(f"kafka://{host}") for host in settings.kafka_bootstrap.split(",")],
        store="memory://",
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_wait_empty=False,
        stream_buffer_maxsize=8,
        broker_max_poll_records=2_000,
        broker_session_timeout=10.0,
        broker_heartbeat_interval=2.0,
        broker_commit_interval=60.0,
        value_serializer="raw",
        datadir=Path(tempfile.gettempdir()) / f"fraudsim-{os.getpid()}-faust",  # nothing is kept in it
    )
    app.transport = WholePollTransport(app.conf.broker_consumer, app, loop)
    topic = app.topic(TRANSACTIONS, LABELS, schema=WholePollSchema(), acks=False)

    @app.agent(topic)
    async def gather(polls: Any) -> None:
        async for delivery in polls:
            await loop.deliver(delivery)

    @app.task
    async def fold() -> None:
        loop.consumer = app.consumer
        try:
            await loop.run()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            # No exception may pass Faust by: it would skip records and go on.
            if isinstance(error, FraudsimError):
                print(f"error: {error}", file=sys.stderr, flush=True)
            else:
                loop.log.exception("worker_failed")
            os._exit(2 if isinstance(error, FraudsimError) else 1)

    return app


def run_worker(settings: Settings) -> None:
    """Run until a signal; exits non-zero on a broken invariant."""
    import uvloop

    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # Faust makes loops of its own, in two threads
    log = set_up_logs(settings, settings.worker_name)
    log.info("worker_starting", metrics_port=metrics.serve_metrics(settings))
    clock_log = open_clock(settings)
    warm_up_kernel()
    store = StateStore(RedisLink.patient(settings.redis_url))
    app = build_app(settings, FoldLoop(settings, store, clock_log, log))
    worker = faust.Worker(app, loglevel="WARN", redirect_stdouts=False)
    worker.execute_from_commandline()
