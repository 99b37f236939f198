"""One reading of the log into Redis: accepts records, collects a batch, commits it through the fence."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from fraudsim import metrics
from fraudsim.log.acceptance import Acceptance, Rejected
from fraudsim.log.clock_log import ClockLog
from fraudsim.log.topics import LABELS, TRANSACTIONS
from fraudsim.settings import Settings
from stream_features.store.keys import blob_key
from stream_features.store.state_store import SlotWrite, StateStore
from stream_features.vector import SIZE
from stream_features.worker.dead_letters import DeadLetterWriter
from stream_features.worker.slot_states import SlotStates

YIELD_EVERY: Final = 100
"""Records accepted between two yields to the event loop, which has the write under way to send."""


class BatchFolder:
    """One reading of the log: its acceptance, its position, and the slots that it folds."""

    dead_letters: DeadLetterWriter

    def __init__(self, settings: Settings, store: StateStore, clock_log: ClockLog, log: Any) -> None:
        n = settings.partitions
        self._settings = settings
        self._store = store
        self._log = log
        self.slot_states = SlotStates(n, settings.slots, clock_log.clock.horizon_ms)
        self._clock_log = clock_log
        self.acceptance = Acceptance(clock_log.clock, SIZE)
        self.next_offsets = [0] * (2 * n)
        """Next offset to accept or reject, by source."""
        self.complete_until_ms = [0] * (2 * n)
        """Wall-clock time up to which a source's log has been read completely, by source; 0: unknown."""
        self._write_task: asyncio.Task[bool] | None = None

    def begin(self, log_begins: Sequence[int]) -> list[int]:
        """Prepare to fold from the slots' watermarks, of a log that holds each source from `log_begins` on.

        Returns the first offset to fold, by source. The records before it, from `next_offsets` on, are read
        only to detect duplicates.
        """
        start = self.slot_states.start_offsets()
        self.slot_states.rewind()
        self.complete_until_ms = [0] * len(self.next_offsets)
        n = self._settings.partitions
        for source, (first, log_begin) in enumerate(zip(start, log_begins, strict=True)):
            topic = LABELS if source >= n else TRANSACTIONS
            self.next_offsets[source] = self.acceptance.begin(topic, source % n, first, log_begin)
        return start

    async def add_records(self, source: int, records: Sequence[Any], end: int) -> None:
        """Collect the accepted records of a source, in offset order; write dead letters for invalid ones.

        `records` are all that the log holds between the source's next offset and `end`, exclusive.
        """
        slot_states, partitions = self.slot_states, self._settings.partitions
        is_label, partition = source >= partitions, source % partitions
        await self._clock_log.catch_up_for(records)
        accept = self.acceptance.label if is_label else self.acceptance.transaction
        accepted_count = 0
        for index, record in enumerate(records):
            if index % YIELD_EVERY == 0:
                await asyncio.sleep(0)
            offset = record.offset
            if offset < self.next_offsets[source]:
                continue
            event = accept(partition, offset, record.timestamp, record.headers, record.value)
            if isinstance(event, Rejected):
                await self._reject(source, record, event)
            elif is_label:
                slot_states.add_label(partition, offset, event)  # type: ignore[arg-type]
                accepted_count += 1
            else:
                slot_states.add_transaction(partition, offset, event)  # type: ignore[arg-type]
                accepted_count += 1
            self.complete_until_ms[source] = max(self.complete_until_ms[source], record.timestamp)
        self.next_offsets[source] = max(self.next_offsets[source], end)
        slot_states.advance(source, self.next_offsets[source] - 1)
        count = metrics.LABELS if is_label else metrics.TRANSACTIONS
        count.labels("folded", "ok").inc(accepted_count)

    async def _reject(self, source: int, record: Any, rejected: Rejected) -> None:
        """Count a duplicate, write a dead letter; only the owner of slot (partition mod slots) does so."""
        slot = self.slot_states.owned.get(record.partition % self._settings.slots)
        if slot is None or record.offset <= slot.watermark.offsets[source]:
            return
        if rejected.kind == "duplicate":
            metrics.TRANSACTIONS.labels("folded", "duplicate").inc()
            return
        await self.dead_letters.add(record, rejected)

    async def commit(self, fresh_at_ms: int | None = None) -> bool:
        """Commit the collected batch. One write is under way at a time.

        The steps, in this order:

        1. Wait for the previous batch's write. If the fence refused a part of it, stop and return False.
        2. Read the states that the batch needs and the cache lacks.
        3. Wait until the broker has acknowledged the batch's dead letters: no watermark passes an offset
           whose dead letter may be lost.
        4. Fold the pending rows into the states, all in memory.
        5. Start the fenced write: for each slot one script call, which compares the stored watermark and
           replaces blobs and watermark together.
        6. When it is done, advance the watermarks of the slots that the fence accepted.

        Steps 5 and 6 run on while the next batch is collected; `await_write` or the next `commit` returns
        their outcome.
        """
        if not await self.await_write():
            return False
        await self._load_missing_states()
        await self.dead_letters.await_acks()
        metrics.FOLD_BATCH.observe(self.slot_states.transactions)
        writes = self.slot_states.fold()
        if writes:
            self._write_task = asyncio.create_task(self._write_and_advance(writes, fresh_at_ms))
            await asyncio.sleep(0)  # start the write before more records are collected
        return True

    async def _load_missing_states(self) -> None:
        missing = self.slot_states.missing_states()
        blobs = await self._store.read([blob_key(slot, *key) for slot, key in missing])
        for (slot, key), blob in zip(missing, blobs, strict=True):
            if not self.slot_states.load_state(slot, key, blob):
                metrics.TRANSACTIONS.labels("folded", "unreadable_state").inc()
                self._log.error("unreadable_state", slot=slot, entity=key[0], key=key[1])

    async def _write_and_advance(self, writes: Sequence[SlotWrite], fresh_at_ms: int | None) -> bool:
        accepted_slots = await self._store.write(writes, fresh_at_ms)
        for write, accepted in zip(writes, accepted_slots, strict=True):
            if accepted:
                self.slot_states.mark_written(write)
            else:
                metrics.FENCED.inc()
                self._log.warning("fenced", slot=write.slot)
        return all(accepted_slots)

    async def await_write(self) -> bool:
        """Wait for the write under way, if there is one; False where the fence refused a part of it.

        Raises:
            RedisError: Redis failed; the write may have been done or not.
        """
        write_task, self._write_task = self._write_task, None
        return write_task is None or await write_task
