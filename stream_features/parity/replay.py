"""Served vectors recomputed by the kernel, which folds each key's state along the log as decisions saw it."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np

from fraudsim.arrays import Ints
from fraudsim.log.events import LogPrefix, Transaction
from fraudsim.log.partitioning import slot_of
from stream_features.catalogue.features import LABELLED
from stream_features.kernels import state as states
from stream_features.kernels.state import NO_LABELS, NO_ROWS, State, Vector
from stream_features.parity.log_events import Key, KeyEvents, LogEvents
from stream_features.store.prime import StateTable
from stream_features.vector import keys_of, vector


class Replay:
    """Recomputes vectors from exactly the log prefixes they name; fastest in the order of decisions.

    What a slot had folded grows from one decision to the next. So a key's state is folded on from where the
    last decision left it, and anew from the history's state only where a watermark went back.
    """

    def __init__(self, log: LogEvents, base: StateTable, slots: int) -> None:
        self._log, self._base, self._slots = log, base, slots
        self._key_replays: dict[Key, _KeyReplay] = {}

    def vector(self, tx: Transaction, prefix: LogPrefix) -> Vector:
        """Every feature of `tx`, from the history and what the prefix holds."""
        state_by_entity: dict[str, State] = {}
        for key in keys_of(tx):
            replay = self._key_replays.get(key)
            if replay is None:
                replay = self._key_replays[key] = _KeyReplay(self._log, key, self._base.get(key))
            watermarks = prefix.slots[str(slot_of(*key, self._slots))]
            state_by_entity[key[0]] = replay.state(prefix, watermarks)
        return vector(tx, state_by_entity, self._log.clock.horizon_ms)[0]


class _PartitionEvents:
    """One partition's events of a key, in order of offset."""

    def __init__(self, events: KeyEvents | None, partition: int, no_rows: Ints) -> None:
        positions = events.positions if events else []
        indices = [i for i, position in enumerate(positions) if position[0] == partition]
        self.offsets = [positions[i][1] for i in indices]
        self.rows = np.array([events.rows[i] for i in indices], np.int64) if events and indices else no_rows

    def count_to(self, offset: int) -> int:
        """The number of events up to an offset."""
        return bisect_right(self.offsets, offset)

    def index_range(self, first: int, last: int) -> tuple[int, int]:
        """Start and end index of the events with an offset from `first` to `last`."""
        return bisect_left(self.offsets, first), bisect_right(self.offsets, last)


class _KeyReplay:
    """One key's state at the watermarks of the last decision on it."""

    def __init__(self, log: LogEvents, key: Key, base: State | None) -> None:
        self._log, self._entity = log, key[0]
        self._horizon_ms = log.clock.horizon_ms
        self._base = states.empty(self._entity) if base is None else base
        partitions = range(log.partitions)
        events, no_rows = log.by_key.get(key), NO_ROWS[self._entity]
        self._events = [_PartitionEvents(events, p, no_rows) for p in partitions]
        labels = log.labels_by_key.get(key) if self._entity in LABELLED else None
        self._labels = [_PartitionEvents(labels, p, NO_LABELS) for p in partitions]
        self._reset()

    def _reset(self) -> None:
        self._state = self._base
        self._folded = [0] * len(self._events)
        self._labels_folded = [0] * len(self._labels)

    def state(self, prefix: LogPrefix, watermarks: Sequence[int]) -> State:
        """The state of what a prefix holds; `watermarks` are those of the key's slot."""
        n = len(self._events)
        folded = [e.count_to(offset) for e, offset in zip(self._events, watermarks[:n], strict=True)]
        labels_folded = [e.count_to(offset) for e, offset in zip(self._labels, watermarks[n:], strict=True)]
        counts, old_counts = folded + labels_folded, self._folded + self._labels_folded
        if any(new < old for new, old in zip(counts, old_counts, strict=True)):
            self._reset()
        if folded != self._folded or labels_folded != self._labels_folded:
            rows = [e.rows[a:b] for e, a, b in zip(self._events, self._folded, folded, strict=True)]
            labels = [
                e.rows[a:b] for e, a, b in zip(self._labels, self._labels_folded, labels_folded, strict=True)
            ]
            self._state = self._fold(np.concatenate(rows), np.concatenate(labels))
            self._folded, self._labels_folded = folded, labels_folded
        indices_by_partition = self._unfolded_indices(prefix, folded)
        unfolded = [e.rows[indices] for e, indices in zip(self._events, indices_by_partition, strict=True)]
        if not any(len(rows) for rows in unfolded):
            return self._state
        return self._fold(np.concatenate(unfolded), NO_LABELS)

    def _fold(self, rows: Ints, labels: Ints) -> State:
        return states.fold(self._entity, self._state, rows, labels, self._horizon_ms)

    def _unfolded_indices(self, prefix: LogPrefix, folded: Sequence[int]) -> list[list[int]]:
        """By partition, the indices of the events that a prefix holds beyond the watermark, each once."""
        indices: list[set[int]] = []
        for partition, events in enumerate(self._events):
            start, end = events.index_range(prefix.tail_from[partition], prefix.tail_to[partition])
            indices.append(set(range(max(start, folded[partition]), end)))
        for tx_id in prefix.pending:
            partition, offset = self._log.position_of_id[tx_id]
            start, end = self._events[partition].index_range(offset, offset)
            indices[partition] |= set(range(max(start, folded[partition]), end))
        return [sorted(partition_indices) for partition_indices in indices]
