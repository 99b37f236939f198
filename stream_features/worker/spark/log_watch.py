"""What the driver does beside the batches: stays the only worker, watches the log's ends, tends Redis.

An event loop in a thread of its own.
"""

import asyncio
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from redis.exceptions import RedisError

from fraudsim import metrics
from fraudsim.errors import FraudsimError
from fraudsim.log.clock import Clock
from fraudsim.settings import Settings, variable
from stream_features.store.connection import RedisClient
from stream_features.store.eviction import check_policy
from stream_features.store.idle_keys import IdleKeySweep
from stream_features.store.state_store import StateStore
from stream_features.worker.assignment import SlotAssignment
from stream_features.worker.spark.batch_plan import source_topic
from stream_features.worker.spark.log_ends import LogEnds

ASK_EVERY_S: Final = 0.1
SWEEP_EVERY_S: Final = 1.0
MEMORY_EVERY_S: Final = 5.0
LONGEST_BATCH_S: Final = 600.0
"""A batch that runs for so long hangs: the heartbeat stops."""
START_S: Final = 60.0
MOST_ASSIGNMENTS: Final = 2
"""Of a worker that is alone in the group, within two session timeouts of its start: one as it joins, one more
after a session's silence. With a second process of its name each takes the other's place, again and again."""


@dataclass
class Folded:
    """How far the slots are folded, as the driver last saw. Replaced as a whole by `LogWatch.set_folded`."""

    stored: Mapping[int, bytes] = field(default_factory=dict)
    """Each slot's encoded watermark."""
    offsets: Sequence[int] = ()
    """The offset after the last folded, by source."""


class LogWatch:
    """Runs from `start` to `stop`."""

    def __init__(self, settings: Settings, clock: Clock, log: Any) -> None:
        self._settings = settings
        self._log = log
        n = settings.partitions
        self._tps = [TopicPartition(source_topic(s, n), s % n) for s in range(2 * n)]
        self._ends = LogEnds()
        self._folded = Folded()
        self._clock = clock
        self._batch_since_s: float | None = None
        self._assignments = 0
        self._young_until_s = 0.0
        self.failure: BaseException | None = None
        """Why the thread ended; None while it runs."""
        self._started = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-watch", daemon=True)

    # The driver's side

    def start(self) -> None:
        """Join the group of workers, as the only one.

        Raises:
            FraudsimError: another worker folds slots of this log.
        """
        self._thread.start()
        self._started.wait()
        self.check()

    def stop(self) -> None:
        """Leave the group."""
        self._stop.set()
        self._thread.join(30)

    def check(self) -> None:
        """Raises what has ended the thread."""
        if self.failure is not None:
            raise self.failure

    def set_folded(self, stored: Mapping[int, bytes], offsets: Sequence[int]) -> None:
        """State what Redis holds: each slot's encoded watermark, and the offset after the last, by source."""
        self._folded = Folded(stored, offsets)
        self._batch_since_s = None

    def begin_batch(self, ends: Sequence[int]) -> int | None:
        """A batch begins. Returns the wall-clock time up to which the log is complete before its ends."""
        self._batch_since_s = time.monotonic()
        return self._ends.fresh_at_ms(ends)

    # The thread

    def _run(self) -> None:
        try:
            asyncio.run(self._watch())
        except BaseException as error:
            self.failure = error
        finally:
            self._started.set()

    async def _watch(self) -> None:
        name = self._settings.worker_name
        assignment = SlotAssignment(self._settings, self._count_assignment, f"spark-{name}")
        store = StateStore(RedisClient.with_long_timeouts(self._settings.redis_url))
        await assignment.start()
        member = asyncio.create_task(assignment.stay_in_group())
        try:
            await self._await_slots(assignment)
            check_policy(await store.evicts_by())
            metrics.SLOTS_OWNED.set(self._settings.slots)
            self._started.set()
            await self._tend(assignment, store, member)
        finally:
            member.cancel()
            await asyncio.wait([member])
            await assignment.stop()

    def _count_assignment(self) -> None:
        if self._assignments == 0:
            self._young_until_s = time.monotonic() + 2 * self._settings.session_timeout_ms / 1000
        if time.monotonic() < self._young_until_s:
            self._assignments += 1

    def _check_name(self) -> None:
        """
        Raises:
            FraudsimError: another process has this worker's name. Of the two, the younger ends.
        """
        if self._assignments > MOST_ASSIGNMENTS:
            raise FraudsimError(
                f"another worker on Spark with {variable('worker_name')}={self._settings.worker_name} folds "
                "this log: one engine at a time; stop one of them"
            )

    async def _await_slots(self, assignment: SlotAssignment) -> None:
        """Wait until the group has assigned all slots: this worker is alone under its protocol."""
        by_s = time.monotonic() + START_S
        while len(assignment.slots) < self._settings.slots:
            if time.monotonic() > by_s:
                raise FraudsimError(
                    f"Kafka has assigned {len(assignment.slots)} of {self._settings.slots} slots to this "
                    f"worker within {START_S:g} s: stop the other worker of the name "
                    f"{self._settings.worker_name}"
                )
            await asyncio.sleep(0.05)

    async def _tend(self, assignment: SlotAssignment, store: StateStore, member: Any) -> None:
        sweep = IdleKeySweep(store, self._clock)
        next_sweep_s = next_memory_s = 0.0
        while not self._stop.is_set():
            if member.done():
                member.result()
            self._check_name()
            now_s = time.monotonic()
            try:
                await self._ask(assignment, store)
                if now_s >= next_memory_s:
                    next_memory_s = now_s + MEMORY_EVERY_S
                    memory = await store.memory()
                    metrics.REDIS_MEMORY.set(memory.used)
                    metrics.REDIS_MAX_MEMORY.set(memory.limit)
                if now_s >= next_sweep_s and self._folded.stored:
                    next_sweep_s = now_s + SWEEP_EVERY_S
                    metrics.KEYS_SWEPT.inc(await sweep.step(lambda: self._folded.stored))
            except (RedisError, KafkaError) as error:
                event = "redis_away" if isinstance(error, RedisError) else "kafka_away"
                self._log.warning(event, error=str(error))
                await asyncio.sleep(1.0)
            if self._batch_since_s is None or now_s - self._batch_since_s < LONGEST_BATCH_S:
                metrics.HEARTBEAT.set_to_current_time()
            await asyncio.sleep(ASK_EVERY_S)

    async def _ask(self, assignment: SlotAssignment, store: StateStore) -> None:
        """Ask for the log's ends; where all is folded, mark the slots as fresh."""
        asked_at_ms = int(time.time() * 1000)
        self._ends.note(asked_at_ms, await assignment.log_ends(self._tps))
        folded = self._folded
        if not folded.stored:
            return
        lag = self._ends.lag(folded.offsets)
        metrics.CONSUMER_LAG.labels(self._settings.worker_name, "all").set(lag)
        if lag == 0 and self._batch_since_s is None:
            await store.mark_fresh(folded.stored, asked_at_ms)
