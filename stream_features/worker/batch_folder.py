"""One reading of the log into Redis: accepts records, collects a batch, commits it through the fence."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class FoldResources:
    """What folding needs of its process."""

    settings: Settings
    store: StateStore
    clock_log: ClockLog
    producer: Any
    """aiokafka's, for dead letters."""
    log: Any


@dataclass
class _SlotCounts:
    """What metrics count of a slot's partitions, once its write is done: so no record counts twice."""

    transactions: int = 0
    labels: int = 0
    duplicates: int = 0
    dead_letters: Counter[str] = field(default_factory=Counter)
    """By field."""

    def publish(self) -> None:
        metrics.TRANSACTIONS.labels("folded", "ok").inc(self.transactions)
        metrics.LABELS.labels("folded", "ok").inc(self.labels)
        if self.duplicates:
            metrics.TRANSACTIONS.labels("folded", "duplicate").inc(self.duplicates)
        for name, count in self.dead_letters.items():
            metrics.DEAD_LETTERS.labels(name).inc(count)


class BatchFolder:
    """One reading of the log: its acceptance, its position, its dead letters, and the slots that it folds."""

    def __init__(self, resources: FoldResources) -> None:
        settings, clock_log = resources.settings, resources.clock_log
        n = settings.partitions
        self._settings = settings
        self._store = resources.store
        self._log = resources.log
        self._dead_letters = DeadLetterWriter(resources.producer)
        self._counts: defaultdict[int, _SlotCounts] = defaultdict(_SlotCounts)
        """By slot, what was collected since its last write was begun."""
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
        self._counts.clear()
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
        home = partition % self._settings.slots
        folded_to = self._folded_to(home, source)
        topic = LABELS if is_label else TRANSACTIONS
        events = self.acceptance.events(topic, partition, records, self.next_offsets[source])
        for index, (record, event) in enumerate(events):
            if index % YIELD_EVERY == 0:
                await asyncio.sleep(0)
            offset = record.offset
            if isinstance(event, Rejected):
                if folded_to is not None and offset > folded_to:
                    await self._reject(home, record, event)
            elif is_label:
                slot_states.add_label(partition, offset, event)  # type: ignore[arg-type]
                if folded_to is not None and offset > folded_to:
                    self._counts[home].labels += 1
            else:
                slot_states.add_transaction(partition, offset, event)  # type: ignore[arg-type]
                if folded_to is not None and offset > folded_to:
                    self._counts[home].transactions += 1
            self.complete_until_ms[source] = max(self.complete_until_ms[source], record.timestamp)
        self.next_offsets[source] = max(self.next_offsets[source], end)
        slot_states.advance(source, self.next_offsets[source] - 1)

    def _folded_to(self, home: int, source: int) -> int | None:
        """Last offset of a source that its home slot has folded; None where that slot is not owned here.

        A partition's home is the slot with its number (modulo slots). Only the home's owner counts a record
        and writes its dead letter.
        """
        slot = self.slot_states.owned.get(home)
        return None if slot is None else slot.watermark.offsets[source]

    async def _reject(self, home: int, record: Any, rejected: Rejected) -> None:
        """Count a duplicate, write a dead letter."""
        if rejected.kind == "duplicate":
            self._counts[home].duplicates += 1
            return
        self._counts[home].dead_letters[rejected.field if rejected.field.isidentifier() else "value"] += 1
        await self._dead_letters.add(record, rejected)

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
        await self._dead_letters.await_acks()
        transactions, writes = self.slot_states.transactions, self.slot_states.fold()
        if writes:
            counts = {write.slot: self._counts.pop(write.slot, _SlotCounts()) for write in writes}
            self._write_task = asyncio.create_task(
                self._write_and_advance(writes, counts, transactions, fresh_at_ms)
            )
            await asyncio.sleep(0)  # start the write before more records are collected
        return True

    async def _load_missing_states(self) -> None:
        missing = self.slot_states.missing_states()
        blobs = await self._store.read([blob_key(slot, *key) for slot, key in missing])
        for (slot, key), blob in zip(missing, blobs, strict=True):
            if not self.slot_states.load_state(slot, key, blob):
                metrics.TRANSACTIONS.labels("folded", "unreadable_state").inc()
                self._log.error("unreadable_state", slot=slot, entity=key[0], key=key[1])

    async def _write_and_advance(
        self,
        writes: Sequence[SlotWrite],
        counts: Mapping[int, _SlotCounts],
        transactions: int,
        fresh_at_ms: int | None,
    ) -> bool:
        accepted_slots = await self._store.write(writes, fresh_at_ms)
        for write, accepted in zip(writes, accepted_slots, strict=True):
            if accepted:
                self.slot_states.mark_written(write)
                counts[write.slot].publish()
            else:
                metrics.FENCED.inc()
                self._log.warning("fenced", slot=write.slot)
        if any(accepted_slots):
            metrics.FOLD_BATCH.observe(transactions)
        return all(accepted_slots)

    async def await_write(self) -> bool:
        """Wait for the write under way, if there is one; False where the fence refused a part of it.

        Raises:
            RedisError: Redis failed; the write may have been done or not.
        """
        write_task, self._write_task = self._write_task, None
        return write_task is None or await write_task
