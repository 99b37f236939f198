"""The unfolded log: accepted transactions beyond the watermarks, by key, bounded in number."""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from fraudsim.log.events import Transaction
from stream_features.encode import ROW_OF
from stream_features.vector import keys_of

Key = tuple[str, str]
"""(entity, key)."""


class UnfoldedEntry(NamedTuple):
    """One transaction of the unfolded log."""

    partition: int
    offset: int
    tx: Transaction


class UnfoldedLog:
    """What the log holds beyond the state, as far as this process has read it."""

    def __init__(self, partitions: int, max_records: int) -> None:
        self.ends = [-1] * partitions
        """Last offset read, by partition."""
        self.starts = [0] * partitions
        """Offset from which on no accepted transaction is missing, by partition."""
        self._max_records = max_records
        self._queues: list[deque[UnfoldedEntry]] = [deque() for _ in range(partitions)]
        self._by_key: dict[Key, UnfoldedEntry | dict[int, deque[UnfoldedEntry]]] = {}
        """Most keys have one entry, held as it is; others a queue by partition, oldest entry leftmost."""

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues)

    def begin(self, partition: int, offset: int) -> None:
        """Start the partition at an offset."""
        self.starts[partition] = offset
        self.ends[partition] = offset - 1

    def advance(self, partition: int, offset: int) -> None:
        """Note that the log has been read up to an offset and its accepted transactions added."""
        self.ends[partition] = max(self.ends[partition], offset)

    def add(self, partition: int, offset: int, tx: Transaction) -> None:
        """Add an accepted transaction; ignore one that is read again."""
        if offset <= self.ends[partition] or offset < self.starts[partition]:
            return
        entry = UnfoldedEntry(partition, offset, tx)
        self._queues[partition].append(entry)
        for key in keys_of(tx):
            entry_or_runs = self._by_key.get(key)
            if entry_or_runs is None:
                self._by_key[key] = entry
                continue
            if isinstance(entry_or_runs, UnfoldedEntry):
                entry_or_runs = self._by_key[key] = {entry_or_runs.partition: deque((entry_or_runs,))}
            run = entry_or_runs.get(partition)
            if run is None:
                entry_or_runs[partition] = deque((entry,))
            else:
                run.append(entry)
        if len(self._queues[partition]) * len(self._queues) > self._max_records:
            self._drop_oldest(partition)

    def prune(self, watermarks: Sequence[int]) -> None:
        """Drop what every slot has folded; `watermarks` are the smallest over all slots, by partition."""
        for partition, watermark in enumerate(watermarks[: len(self._queues)]):
            queue = self._queues[partition]
            while queue and queue[0].offset <= watermark:
                self._drop_oldest(partition)
            self.starts[partition] = max(self.starts[partition], watermark + 1)

    def _drop_oldest(self, partition: int) -> None:
        entry = self._queues[partition].popleft()
        self.starts[partition] = entry.offset + 1
        for key in keys_of(entry.tx):
            entry_or_runs = self._by_key[key]
            if isinstance(entry_or_runs, UnfoldedEntry):
                del self._by_key[key]
                continue
            run = entry_or_runs[partition]
            run.popleft()
            if not run:
                del entry_or_runs[partition]
                if not entry_or_runs:
                    del self._by_key[key]

    def rows(self, entity: str, key: str, watermarks: Sequence[int]) -> list[tuple[int, ...]]:
        """Kernel rows of a key beyond its slot's watermarks, nearly in time order."""
        entry_or_runs = self._by_key.get((entity, key))
        if entry_or_runs is None:
            return []
        to_row = ROW_OF[entity]
        if isinstance(entry_or_runs, UnfoldedEntry):
            return (
                [to_row(entry_or_runs.tx)]
                if entry_or_runs.offset > watermarks[entry_or_runs.partition]
                else []
            )
        rows: list[tuple[int, ...]] = []
        for partition, run in entry_or_runs.items():
            watermark = watermarks[partition]
            for entry in reversed(run):
                if entry.offset <= watermark:
                    break
                rows.append(to_row(entry.tx))
        rows.reverse()
        if len(entry_or_runs) > 1:
            rows.sort()  # kernels insert from the end: concatenated runs would take quadratic time
        return rows

    def covers(self, watermarks: Sequence[int]) -> bool:
        """Whether no transaction is missing between a slot's watermarks and the unfolded log."""
        return all(w + 1 >= start for w, start in zip(watermarks, self.starts, strict=False))
