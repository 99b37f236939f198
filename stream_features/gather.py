"""From the log into Redis: records judged, gathered for the slots they concern, written through the fence."""

from collections.abc import Sequence
from typing import Any

from fraudsim import metrics
from fraudsim.clock_log import ClockLog
from fraudsim.settings import Settings
from fraudsim.validity import Judge, Rejected
from stream_features.dead_letters import DeadLetterWriter
from stream_features.fold import Folder
from stream_features.redis_io import StateStore, blob_key


class Gatherer:
    """One reading of the log: what it has judged, and the slots that it folds."""

    letters: DeadLetterWriter

    def __init__(self, settings: Settings, store: StateStore, clock_log: ClockLog, log: Any) -> None:
        n = settings.partitions
        self._settings = settings
        self._store = store
        self._log = log
        self.folder = Folder(n, settings.slots, clock_log.clock.horizon_ms)
        self.judge = Judge(clock_log.clock, clock_log.refresh)
        self.next = [0] * (2 * n)
        """Next offset to be judged, by source."""
        self.known_ms = [0] * (2 * n)
        """Wall-clock time up to which everything in a source's log has been judged; 0: not known."""

    def begin(self, offsets: Sequence[int]) -> None:
        """Reading starts (again) at these offsets, of which the folder takes what its slots lack."""
        self.folder.rewound()
        self.judge.forget()
        self.known_ms = [0] * len(self.next)
        self.next = list(offsets)

    async def take(self, source: int, records: Sequence[Any], end: int) -> None:
        """Gather what counts of a source's records, in offset order; set aside what is not valid.

        Before offset `end` there is nothing but them.
        """
        folder, partitions = self.folder, self._settings.partitions
        is_label, partition = source >= partitions, source % partitions
        accept = self.judge.label if is_label else self.judge.transaction
        good = 0
        for record in records:
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
        """Fold and write what was gathered; False where the fence kept a slot's part out."""
        folder = self.folder
        missing = folder.missing()
        blobs = await self._store.read([blob_key(slot, *key) for slot, key in missing])
        for (slot, key), blob in zip(missing, blobs, strict=True):
            if not folder.provide(slot, key, blob):
                metrics.TRANSACTIONS.labels("folded", "unreadable_state").inc()
                self._log.error("unreadable_state", slot=slot, entity=key[0], key=key[1])
        await self.letters.settle()
        metrics.FOLD_BATCH.observe(folder.transactions)
        writes = folder.writes()
        if not writes:
            return True
        passed = await self._store.write(writes, fresh_at_ms)
        for write, went_through in zip(writes, passed, strict=True):
            if went_through:
                folder.written(write)
            else:
                metrics.FENCED.inc()
                self._log.warning("fenced", slot=write.slot)
        return all(passed)
