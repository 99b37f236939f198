"""Which slots this worker folds, and from where: take-over, rewinds, catch-up, how fresh the state is."""

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiokafka import TopicPartition
from faust.types import TP
from redis.exceptions import RedisError

from fraudsim import metrics
from fraudsim.log.topics import LABELS, TRANSACTIONS
from stream_features.store.eviction import check_policy
from stream_features.store.keys import watermark_key
from stream_features.store.watermark import check_range, check_watermark, decode_watermark
from stream_features.worker.assignment import SlotAssignment
from stream_features.worker.batch_folder import BatchFolder, FoldResources
from stream_features.worker.catch_up import CatchUp, FencedError, lagging_slots
from stream_features.worker.inbox import Inbox

NOT_PRIMED_RETRY_S: Final = 0.5
MAX_CATCH_UP_RECORDS: Final = 2_000_000
"""Records read during a catch-up, whose rows for the lagging slots wait in memory. Beyond that, all slots
start again from their watermarks."""
MAX_TAKE_OVER_KEYS: Final = 100_000
"""Keys of a lagging slot whose rows may wait; beyond that, likewise. They are written in one call, which
holds Redis meanwhile, and Redis takes at most 524,000 keys in a call."""
MAX_AHEAD_S: Final = 5.0
"""A read position that stays ahead of what was delivered for this long has skipped records: rewind."""


class Positions:
    """Owns the assigned slots and steers where reading goes on. `FoldLoop` folds what is read."""

    def __init__(
        self,
        resources: FoldResources,
        batch_folder: BatchFolder,
        assignment: SlotAssignment,
        inbox: Inbox,
        consumer: Any,
    ) -> None:
        """`consumer` is the transport's."""
        self._resources = resources
        self._settings = resources.settings
        self._batch_folder = batch_folder
        self._slot_states = batch_folder.slot_states
        self._assignment = assignment
        self._inbox = inbox
        self._consumer = consumer
        self._log = resources.log
        self.sources = [
            TP(topic, p) for topic in (TRANSACTIONS, LABELS) for p in range(self._settings.partitions)
        ]
        self._start_offsets: Sequence[int] = [0] * len(self.sources)
        """First offset to fold since the last rewind, by source."""
        self._reread_until: Sequence[int] = self._start_offsets
        """The start offsets, or where reading stood before the rewind if that is later: up to there, records
        are read for the second time."""
        self._reread_done = asyncio.Event()
        self._catch_up_task: asyncio.Task[dict[int, bytes]] | None = None
        self._ahead: frozenset[tuple[int, int, int]] = frozenset()
        """(source, read position, next offset) of the sources that were ahead at the last position check."""
        self._next_check_s = 0.0

    @property
    def slots_changed(self) -> bool:
        """Whether the group has assigned other slots than are owned."""
        return self._assignment.slots != self._slot_states.owned.keys()

    def source_of(self, topic: str, partition: int) -> int:
        """The index of a partition among the sources."""
        return partition + (self._settings.partitions if topic == LABELS else 0)

    # Taking over slots

    async def take_over_slots(self) -> None:
        """Own exactly the assigned slots, as Redis has them, and rewind to the smallest watermark."""
        await self.cancel_catch_up()
        with contextlib.suppress(RedisError):
            await self._batch_folder.await_write()  # the watermarks read below tell its outcome
        check_policy(await self._resources.store.evicts_by())
        slots = self._assignment.slots
        self._slot_states.release(set(self._slot_states.owned) - slots)
        stored = await self._read_stored(slots)
        if stored is None:
            return
        begins, ends = await self._assignment.log_range([TopicPartition(*tp) for tp in self.sources])
        watermarks = {slot: decode_watermark(value) for slot, value in stored.items()}
        segment = self._resources.clock_log.clock.first
        for slot, watermark in watermarks.items():
            check_watermark(watermark, slot, segment, len(self.sources), self._settings.slots)
            check_range(watermark, slot, begins, ends)
        lagging = lagging_slots(watermarks, self._settings.catch_up_beyond)
        for slot in stored.keys() - lagging:
            self._slot_states.own(slot, stored[slot])
        self._slot_states.release(lagging)
        metrics.SLOTS_OWNED.set(len(slots))
        self._inbox.mark_position_known()
        if slots:
            self._rewind_to_watermarks({slot: stored[slot] for slot in lagging}, begins, ends)

    async def _read_stored(self, slots: frozenset[int]) -> dict[int, bytes] | None:
        """Each slot's encoded watermark; None, after a pause, where a slot is not primed."""
        values = await self._resources.store.read([watermark_key(slot) for slot in sorted(slots)])
        stored = {slot: value for slot, value in zip(sorted(slots), values, strict=True) if value is not None}
        if len(stored) == len(slots):
            return stored
        absent = sorted(slots - stored.keys())
        self._log.info("slots_not_primed", slots=absent, next_step="fraudsim features prime")
        self._slot_states.release(list(self._slot_states.owned))
        await asyncio.sleep(NOT_PRIMED_RETRY_S)
        return None

    def _rewind_to_watermarks(
        self, lagging: Mapping[int, bytes], begins: Sequence[int], ends: Sequence[int]
    ) -> None:
        """Ask the transport for a rewind to the owned slots' watermarks; start the catch-up of the others.

        Args:
            lagging: encoded watermarks of the lagging slots.
            begins: first offset that the log holds, by source.
            ends: the offset after the last, by source.
        """
        batch_folder, ready = self._batch_folder, sorted(self._slot_states.owned)
        reached = [max(n, r) for n, r in zip(batch_folder.next_offsets, self._reread_until, strict=True)]
        self._start_offsets = start = batch_folder.begin(begins)
        self._reread_until = [
            max(first, min(offset, end)) for first, offset, end in zip(start, reached, ends, strict=True)
        ]
        for slot, stored in lagging.items():
            self._slot_states.own_lagging(slot, stored, start)
        self._reread_done.clear()
        self.check_reread_done()
        self._inbox.rewind_to(dict(zip(self.sources, batch_folder.next_offsets, strict=True)))
        self._ahead = frozenset()
        self._log.info("place_taken", slots=ready, start=start)
        if lagging:
            self._catch_up_task = asyncio.create_task(self._catch_up(lagging, begins, start))
            self._catch_up_task.add_done_callback(lambda _: self._inbox.wake_up.set())

    # Catch-up of lagging slots

    async def _catch_up(
        self, lagging: Mapping[int, bytes], begins: Sequence[int], until: Sequence[int]
    ) -> dict[int, bytes]:
        await self._reread_done.wait()  # the ready slots are nearly up to date: they go first
        return await CatchUp(self._resources).run(lagging, begins, until)

    async def cancel_catch_up(self) -> None:
        """End the catch-up if there is one; what it has written stands."""
        if self._catch_up_task is not None:
            task, self._catch_up_task = self._catch_up_task, None
            task.cancel()
            await asyncio.wait([task])

    def finish_catch_up(self) -> bool:
        """Mark caught-up slots as ready: whether there are any, whose pending rows wait for a commit."""
        task = self._catch_up_task
        if task is None:
            return False
        if not task.done():
            read_records = sum(self._batch_folder.next_offsets) - sum(self._start_offsets)
            waiting_keys = self._slot_states.largest_waiting()
            if read_records > MAX_CATCH_UP_RECORDS or waiting_keys > MAX_TAKE_OVER_KEYS:
                self._inbox.mark_position_lost()  # the next catch-up continues from the stored watermarks
            return False
        self._catch_up_task = None
        try:
            caught_up = task.result()
        except FencedError:
            self._inbox.mark_position_lost()
            return False
        for slot, stored in caught_up.items():
            self._slot_states.finish_catch_up(slot, stored)
        return True

    # Read position and freshness

    def check_reread_done(self) -> None:
        """Notice that reading is back where it stood before the last rewind."""
        offsets = zip(self._batch_folder.next_offsets, self._reread_until, strict=True)
        if all(next_offset >= until for next_offset, until in offsets):
            self._reread_done.set()

    def check_ahead(self) -> None:
        """Rewind again where the last rewind had no effect or was undone: no delivery would show that."""
        now_s, inbox = time.monotonic(), self._inbox
        idle = self._slot_states.owned and inbox.is_empty and inbox.rewind_taken
        if now_s < self._next_check_s or not idle or inbox.position_lost:
            return
        self._next_check_s = now_s + MAX_AHEAD_S
        next_offsets = self._batch_folder.next_offsets
        ahead = frozenset(
            (source, position, next_offsets[source])
            for source, tp in enumerate(self.sources)
            if (position := self._consumer.read_position(tp)) is not None and position > next_offsets[source]
        )
        if ahead & self._ahead:
            self._log.warning("strayed", sources=sorted(source for source, _, _ in ahead & self._ahead))
            inbox.mark_position_lost()
        self._ahead = ahead

    def fresh_at_ms(self) -> int | None:
        """Wall-clock time up to which the log is known to be read completely; None where it is unknown.

        A source read to its end is complete up to the last check of that end, any other up to the broker's
        time of the last record read.
        """
        lag = 0
        next_offsets = self._batch_folder.next_offsets
        complete_until_ms = self._batch_folder.complete_until_ms
        for source, tp in enumerate(self.sources):
            end = self._consumer.highwater(tp)
            if end is None:
                continue
            lag += max(0, end - next_offsets[source])
            if next_offsets[source] >= end:
                complete_until_ms[source] = max(
                    complete_until_ms[source], self._consumer.end_checked_at_ms(tp)
                )
        metrics.CONSUMER_LAG.labels(self._settings.worker_name, "all").set(lag)
        if not self._reread_done.is_set():
            return None  # the state, and the freshness stored with it, are ahead of what is read again
        return min(complete_until_ms) or None
