"""The unfolded tail: valid transactions beyond the watermarks, by key, bounded in number."""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from fraudsim.log.events import Transaction
from stream_features.encode import ROW_OF
from stream_features.vector import keys_of

Key = tuple[str, str]


class Entry(NamedTuple):
    """One transaction of the tail."""

    partition: int
    offset: int
    tx: Transaction


class UnfoldedLog:
    """What the log holds beyond the state, as far as this process has read it."""

    def __init__(self, partitions: int, max_records: int) -> None:
        self.ends = [-1] * partitions
        """Last offset read, by partition."""
        self.starts = [0] * partitions
        """Offset from which on the tail is whole, by partition."""
        self._max_records = max_records
        self._queues: list[deque[Entry]] = [deque() for _ in range(partitions)]
        self._by_key: dict[Key, Entry | dict[int, deque[Entry]]] = {}
        """A key's only entry, as most have; else all, by partition: of each the leftmost goes first."""

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues)

    def begin(self, partition: int, offset: int) -> None:
        """Reading of a partition starts here."""
        self.starts[partition] = offset
        self.ends[partition] = offset - 1

    def passed(self, partition: int, offset: int) -> None:
        """The log has been read up to here; what counts of it is in."""
        self.ends[partition] = max(self.ends[partition], offset)

    def add(self, partition: int, offset: int, tx: Transaction) -> None:
        """Add a transaction that counts; one read again is left out."""
        if offset <= self.ends[partition] or offset < self.starts[partition]:
            return
        entry = Entry(partition, offset, tx)
        self._queues[partition].append(entry)
        for key in keys_of(tx):
            held = self._by_key.get(key)
            if held is None:
                self._by_key[key] = entry
                continue
            if isinstance(held, Entry):
                held = self._by_key[key] = {held.partition: deque((held,))}
            run = held.get(partition)
            if run is None:
                held[partition] = deque((entry,))
            else:
                run.append(entry)
        if len(self._queues[partition]) * len(self._queues) > self._max_records:
            self._drop_first(partition)

    def prune(self, watermarks: Sequence[int]) -> None:
        """Let go of what every slot has folded; `watermarks` are the smallest, by partition."""
        for partition, watermark in enumerate(watermarks[: len(self._queues)]):
            queue = self._queues[partition]
            while queue and queue[0].offset <= watermark:
                self._drop_first(partition)
            self.starts[partition] = max(self.starts[partition], watermark + 1)

    def _drop_first(self, partition: int) -> None:
        entry = self._queues[partition].popleft()
        self.starts[partition] = entry.offset + 1
        for key in keys_of(entry.tx):
            held = self._by_key[key]
            if isinstance(held, Entry):
                del self._by_key[key]
                continue
            run = held[partition]
            run.popleft()
            if not run:
                del held[partition]
                if not held:
                    del self._by_key[key]

    def rows(self, entity: str, key: str, watermarks: Sequence[int]) -> list[tuple[int, ...]]:
        """Kernel rows of a key beyond its slot's watermarks, nearly in order of time."""
        held = self._by_key.get((entity, key))
        if held is None:
            return []
        row = ROW_OF[entity]
        if isinstance(held, Entry):
            return [row(held.tx)] if held.offset > watermarks[held.partition] else []
        found: list[tuple[int, ...]] = []
        for partition, run in held.items():
            watermark = watermarks[partition]
            for entry in reversed(run):
                if entry.offset <= watermark:
                    break
                found.append(row(entry.tx))
        found.reverse()
        if len(held) > 1:
            found.sort()  # kernels insert from the end: runs one after the other would cost it a square
        return found

    def covers(self, watermarks: Sequence[int]) -> bool:
        """Whether nothing is missing between a slot's watermarks and the tail."""
        return all(w + 1 >= start for w, start in zip(watermarks, self.starts, strict=False))
