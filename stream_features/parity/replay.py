"""Served vectors again, by the kernel: each key's state is folded along the log as decisions saw it."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np

from fraudsim.log.events import LogPrefix, Transaction
from fraudsim.log.partitioning import slot_of
from stream_features.catalogue.features import LABELLED
from stream_features.kernels import state as states
from stream_features.kernels.state import NO_LABELS, NO_ROWS, State, Vector
from stream_features.parity.log_events import Ints, Key, KeyEvents, LogEvents
from stream_features.store.prime import Table
from stream_features.vector import keys_of, vector


class Replay:
    """Recomputes vectors from exactly the log prefixes they name; quickest in the order of decisions.

    What a slot had folded grows from one decision to the next: so a key's state is folded on from where
    the last decision left it, and anew from the history's only where one went back.
    """

    def __init__(self, log: LogEvents, base: Table, slots: int) -> None:
        self._log, self._base, self._slots = log, base, slots
        self._chains: dict[Key, _Chain] = {}

    def vector(self, tx: Transaction, prefix: LogPrefix) -> Vector:
        """Every feature of `tx`, from the history and what the prefix holds."""
        its: dict[str, State] = {}
        for key in keys_of(tx):
            chain = self._chains.get(key)
            if chain is None:
                chain = self._chains[key] = _Chain(self._log, key, self._base.get(key))
            its[key[0]] = chain.state(prefix, prefix.slots[str(slot_of(*key, self._slots))])
        return vector(tx, its, self._log.clock.horizon_ms)[0]


class _Stretch:
    """One partition's events of a key, in order of offset."""

    def __init__(self, found: KeyEvents | None, partition: int, nothing: Ints) -> None:
        chosen = [i for i, at in enumerate(found.at) if at[0] == partition] if found else []
        self.offsets = [found.at[i][1] for i in chosen] if found else []
        self.rows = np.array([found.rows[i] for i in chosen], np.int64) if found and chosen else nothing

    def up_to(self, offset: int) -> int:
        """How many stand at an offset or before."""
        return bisect_right(self.offsets, offset)

    def between(self, first: int, last: int) -> tuple[int, int]:
        """The first with an offset from `first` on, and the first after `last`."""
        return bisect_left(self.offsets, first), bisect_right(self.offsets, last)


class _Chain:
    """One key's state at the watermarks that it was asked for last."""

    def __init__(self, log: LogEvents, key: Key, base: State | None) -> None:
        self._log, self._key, self._entity = log, key, key[0]
        self._horizon_ms = log.clock.horizon_ms
        self._base = states.empty(self._entity) if base is None else base
        partitions = range(log.partitions)
        nothing = NO_ROWS[self._entity]
        self._events = [_Stretch(log.by_key.get(key), p, nothing) for p in partitions]
        known = log.labels_by_key.get(key) if self._entity in LABELLED else None
        self._labels = [_Stretch(known, p, NO_LABELS) for p in partitions]
        self._start()

    def _start(self) -> None:
        self._state = self._base
        self._folded = [0] * len(self._events)
        self._known = [0] * len(self._labels)

    def state(self, prefix: LogPrefix, watermarks: Sequence[int]) -> State:
        """The state of what a prefix holds; `watermarks` are those of the key's slot."""
        n = len(self._events)
        folded = [s.up_to(offset) for s, offset in zip(self._events, watermarks[:n], strict=True)]
        known = [s.up_to(offset) for s, offset in zip(self._labels, watermarks[n:], strict=True)]
        if any(new < old for new, old in zip(folded + known, self._folded + self._known, strict=True)):
            self._start()
        if folded != self._folded or known != self._known:
            rows = [s.rows[a:b] for s, a, b in zip(self._events, self._folded, folded, strict=True)]
            labels = [s.rows[a:b] for s, a, b in zip(self._labels, self._known, known, strict=True)]
            self._state = self._fold(np.concatenate(rows), np.concatenate(labels))
            self._folded, self._known = folded, known
        unfolded = [s.rows[at] for s, at in zip(self._events, self._tail(prefix, folded), strict=True)]
        if not any(len(rows) for rows in unfolded):
            return self._state
        return self._fold(np.concatenate(unfolded), NO_LABELS)

    def _fold(self, rows: Ints, labels: Ints) -> State:
        return states.fold(self._entity, self._state, rows, labels, self._horizon_ms)

    def _tail(self, prefix: LogPrefix, folded: Sequence[int]) -> list[list[int]]:
        """By partition, which events a prefix holds beyond the watermark, each once."""
        chosen: list[set[int]] = []
        for partition, stretch in enumerate(self._events):
            first, after = stretch.between(prefix.tail_from[partition], prefix.tail_to[partition])
            chosen.append(set(range(max(first, folded[partition]), after)))
        for tx_id in prefix.pending:
            partition, offset = self._log.id_of[tx_id]
            first, after = self._events[partition].between(offset, offset)
            chosen[partition] |= set(range(max(first, folded[partition]), after))
        return [sorted(at) for at in chosen]
