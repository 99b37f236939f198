"""From the log into Redis: records judged, gathered for the slots they concern, written through the fence."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from fraudsim import metrics
from fraudsim.log.acceptance import Acceptance, Rejected
from fraudsim.log.clock_log import ClockLog
from fraudsim.log.topics import LABELS, TRANSACTIONS
from fraudsim.settings import Settings
from stream_features.store.state_store import SlotWrite, StateStore, blob_key
from stream_features.worker.dead_letters import DeadLetterWriter
from stream_features.worker.slot_states import SlotStates

YIELD_EVERY: Final = 100
"""Records judged before others get their turn: the write under way has to be handed to the socket."""


class BatchFolder:
    """One reading of the log: what it has judged, and the slots that it folds."""

    letters: DeadLetterWriter

    def __init__(self, settings: Settings, store: StateStore, clock_log: ClockLog, log: Any) -> None:
        n = settings.partitions
        self._settings = settings
        self._store = store
        self._log = log
        self.folder = SlotStates(n, settings.slots, clock_log.clock.horizon_ms)
        self.judge = Acceptance(clock_log.clock, clock_log.refresh)
        self.next = [0] * (2 * n)
        """Next offset to be judged, by source."""
        self.known_ms = [0] * (2 * n)
        """Wall-clock time up to which everything in a source's log has been judged; 0: not known."""
        self._writing: asyncio.Task[bool] | None = None

    def begin(self, log_begins: Sequence[int]) -> list[int]:
        """Be ready to fold from where the slots are, of a log that holds each source from `log_begins` on.

        Returns those first offsets to fold. What is before them, from `next` on, is only judged again, as it
        tells what is a repeat.
        """
        start = self.folder.start()
        self.folder.rewound()
        self.known_ms = [0] * len(self.next)
        n = self._settings.partitions
        for source, (first, log_begin) in enumerate(zip(start, log_begins, strict=True)):
            topic = LABELS if source >= n else TRANSACTIONS
            self.next[source] = self.judge.begin(topic, source % n, first, log_begin)
        return start

    async def take(self, source: int, records: Sequence[Any], end: int) -> None:
        """Gather what counts of a source's records, in offset order; set aside what is not valid.

        Before offset `end` there is nothing but them.
        """
        folder, partitions = self.folder, self._settings.partitions
        is_label, partition = source >= partitions, source % partitions
        accept = self.judge.label if is_label else self.judge.transaction
        good = 0
        for number, record in enumerate(records):
            if number % YIELD_EVERY == 0:
                await asyncio.sleep(0)
            offset = record.offset
            if offset < self.next[source]:
                continue
            event = accept(partition, offset, record.timestamp, record.headers, record.value)
            if isinstance(event, Rejected):
                await self._set_aside(source, record, event)
            elif is_label:
                folder.label(partition, offset, event)  # type: ignore[arg-type]
                good += 1
            else:
                folder.transaction(partition, offset, event)  # type: ignore[arg-type]
                good += 1
            self.known_ms[source] = max(self.known_ms[source], record.timestamp)
        self.next[source] = max(self.next[source], end)
        folder.passed(source, max(folder.ends[source], self.next[source] - 1))
        count = metrics.LABELS if is_label else metrics.TRANSACTIONS
        count.labels("folded", "ok").inc(good)

    async def _set_aside(self, source: int, record: Any, rejected: Rejected) -> None:
        keeper = self.folder.owned.get(record.partition % self._settings.slots)
        if keeper is None or record.offset <= keeper.applied.offsets[source]:
            return
        if rejected.kind == "duplicate":
            metrics.TRANSACTIONS.labels("folded", "duplicate").inc()
            return
        await self.letters.add(record, rejected)

    async def write(self, fresh_at_ms: int | None = None) -> bool:
        """Fold what was gathered and begin to write it; `settle` tells what became of it.

        One write is under way at a time, and the next batch may be gathered meanwhile. False, and nothing is
        folded, where the fence kept out a part of the one before.
        """
        folder = self.folder
        if not await self.settle():
            return False
        missing = folder.missing()
        blobs = await self._store.read([blob_key(slot, *key) for slot, key in missing])
        for (slot, key), blob in zip(missing, blobs, strict=True):
            if not folder.provide(slot, key, blob):
                metrics.TRANSACTIONS.labels("folded", "unreadable_state").inc()
                self._log.error("unreadable_state", slot=slot, entity=key[0], key=key[1])
        await self.letters.settle()
        metrics.FOLD_BATCH.observe(folder.transactions)
        writes = folder.writes()
        if writes:
            self._writing = asyncio.create_task(self._write(writes, fresh_at_ms))
            await asyncio.sleep(0)  # it is on its way before more is gathered
        return True

    async def settle(self) -> bool:
        """Wait for the write under way, if there is one; False where the fence kept a part of it out.

        Raises:
            RedisError: it may have been written or not.
        """
        writing, self._writing = self._writing, None
        return writing is None or await writing

    async def _write(self, writes: Sequence[SlotWrite], fresh_at_ms: int | None) -> bool:
        passed = await self._store.write(writes, fresh_at_ms)
        for write, went_through in zip(writes, passed, strict=True):
            if went_through:
                self.folder.written(write)
            else:
                metrics.FENCED.inc()
                self._log.warning("fenced", slot=write.slot)
        return all(passed)
