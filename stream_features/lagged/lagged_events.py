"""Events of the log by key and event time, and each key's state as of a time in the past. Pure.

The state of a key as of T is the fold of its base, the history's state, and of its events with a time before
T. Queries come nearly in time order: so the state of the last query is kept, and folded on.
"""

from bisect import bisect_left, insort
from collections.abc import Mapping
from typing import Final

import numpy as np

from fraudsim.log.events import Label, Transaction
from stream_features.catalogue.features import KEY_FIELD, LABELLED
from stream_features.encode import ROW_OF, label_row
from stream_features.kernels import state as states
from stream_features.kernels.state import NO_LABELS, NO_ROWS, State
from stream_features.vector import keys_of

Key = tuple[str, str]
"""(entity, key)."""
_Event = tuple[int, tuple[int, ...]]
"""(event time ms, the kernel's row): `ts` of a transaction, `known_at` of a label."""
_BEGINNING: Final = -1


class _TimedRows:
    """The rows of one kind, of one key, in time order, of which the first are in the kept state."""

    def __init__(self) -> None:
        self._events: list[_Event] = []
        self._kept_count = 0
        self._late: list[tuple[int, ...]] = []
        """Rows that belong to those in the kept state, and came after it had been folded."""

    def __len__(self) -> int:
        return len(self._events)

    def add(self, time_ms: int, row: tuple[int, ...], kept_until_ms: int) -> None:
        insort(self._events, (time_ms, row))
        if time_ms < kept_until_ms:
            self._kept_count += 1
            self._late.append(row)

    def take(self, until_ms: int) -> list[tuple[int, ...]]:
        """The rows before a time that the kept state lacks; it has them from now on."""
        end = bisect_left(self._events, (until_ms,))
        rows = self._late + [row for _, row in self._events[self._kept_count : end]]
        self._kept_count, self._late = max(self._kept_count, end), []
        return rows

    def before(self, until_ms: int) -> list[tuple[int, ...]]:
        """All rows before a time."""
        return [row for _, row in self._events[: bisect_left(self._events, (until_ms,))]]

    def drop_before(self, until_ms: int) -> int:
        """Drop the rows before a time; returns their number. The kept state must have them."""
        end = bisect_left(self._events, (until_ms,))
        del self._events[:end]
        self._kept_count -= end
        return end


class _LaggedKey:
    """One key: its base, its later events, and its state as of the latest query."""

    def __init__(self, entity: str, base: State | None, horizon_ms: int) -> None:
        self._entity, self._horizon_ms = entity, horizon_ms
        self._base = states.empty(entity) if base is None else base
        self._kept, self._kept_until_ms = self._base, _BEGINNING
        self._rows, self._labels = _TimedRows(), _TimedRows()

    def add_row(self, time_ms: int, row: tuple[int, ...]) -> None:
        self._rows.add(time_ms, row, self._kept_until_ms)

    def add_label(self, time_ms: int, row: tuple[int, ...]) -> None:
        self._labels.add(time_ms, row, self._kept_until_ms)

    def state(self, until_ms: int) -> State:
        if until_ms < self._kept_until_ms:
            return self._fold(self._base, self._rows.before(until_ms), self._labels.before(until_ms))
        self._kept = self._fold(self._kept, self._rows.take(until_ms), self._labels.take(until_ms))
        self._kept_until_ms = until_ms
        return self._kept

    def fold_before(self, until_ms: int) -> int:
        """Fold the events before a time into the base; returns their number."""
        rows, labels = self._rows.before(until_ms), self._labels.before(until_ms)
        if not rows and not labels:
            return 0
        self.state(max(until_ms, self._kept_until_ms))
        self._base = self._fold(self._base, rows, labels)
        return self._rows.drop_before(until_ms) + self._labels.drop_before(until_ms)

    def _fold(self, state: State, rows: list[tuple[int, ...]], labels: list[tuple[int, ...]]) -> State:
        if not rows and not labels:
            return state
        return states.fold(
            self._entity,
            state,
            np.array(rows, np.int64) if rows else NO_ROWS[self._entity],
            np.array(labels, np.int64) if labels else NO_LABELS,
            self._horizon_ms,
        )


class LaggedEvents:
    """Accepted events of the log on top of a history's states, for queries as of any time in the past.

    Args:
        base: the states of the history.
        horizon_ms: the log's; it decides what a state may forget.
        answers_from_ms: up to which time the base holds the history.
    """

    def __init__(self, base: Mapping[Key, State], horizon_ms: int, answers_from_ms: int = _BEGINNING) -> None:
        self._base, self._horizon_ms = base, horizon_ms
        self._keys: dict[Key, _LaggedKey] = {}
        self.rows = 0
        """Rows kept apart from the bases: about four for each transaction."""
        self.answers_from_ms = answers_from_ms
        """No state can be told as of an earlier time: what lies before it is in the bases."""

    def add_transaction(self, tx: Transaction) -> None:
        for key in keys_of(tx):
            self._key(key).add_row(tx.ts, ROW_OF[key[0]](tx))
            self.rows += 1

    def add_label(self, label: Label) -> None:
        for entity in LABELLED:
            name = getattr(label, KEY_FIELD[entity])
            if name is not None:
                self._key((entity, name)).add_label(label.known_at, label_row(label))
                self.rows += 1

    def state(self, key: Key, until_ms: int) -> State:
        """The state of a key from the history and all events before a time, ms."""
        lagged_key = self._keys.get(key)
        if lagged_key is not None:
            return lagged_key.state(until_ms)
        base = self._base.get(key)
        return states.empty(key[0]) if base is None else base

    def fold_before(self, until_ms: int) -> None:
        """Fold the events before a time into the bases, to save memory."""
        self.answers_from_ms = max(self.answers_from_ms, until_ms)
        for key in self._keys.values():
            self.rows -= key.fold_before(until_ms)

    def _key(self, key: Key) -> _LaggedKey:
        lagged_key = self._keys.get(key)
        if lagged_key is None:
            lagged_key = self._keys[key] = _LaggedKey(key[0], self._base.get(key), self._horizon_ms)
        return lagged_key
