"""Vectors of decisions with a lag, recomputed by the kernel: each key's events folded in time order.

It shares no code with `stream_features.lagged`, which serves them.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraudsim.arrays import Flags, Floats, Ints
from fraudsim.log.partitioning import slot_of
from stream_features.catalogue.features import KEY_FIELD, LABELLED, WINDOWED, feature_indexes
from stream_features.encode import ROW_OF
from stream_features.kernels import state as states
from stream_features.kernels.state import KERNELS, NO_LABELS, NO_ROWS, State
from stream_features.offline.columns import codes, entity_rows, label_rows
from stream_features.parity.log_events import HistoryTables, Key, KeyEvents, LogEvents, ServedDecision
from stream_features.store.prime import StateTable, state_of_history
from stream_features.vector import SIZE, keys_of, request_features


def lagged_vectors(
    decisions: Sequence[ServedDecision], log: LogEvents, tables: HistoryTables, slots: int
) -> Floats:
    """Each vector from the events of history and prefix before `tx.ts - lag_ms`; (n, SIZE), float32."""
    out = np.full((len(decisions), SIZE), np.nan, np.float32)
    out[:, feature_indexes("request")] = [request_features(decision.tx) for decision in decisions]
    history = _HistoryEnd(tables, log, min(decision.tx.ts - decision.lag_ms for decision in decisions))
    indices_by_key: dict[Key, list[int]] = defaultdict(list)
    for i, decision in enumerate(decisions):
        for key in keys_of(decision.tx):
            indices_by_key[key].append(i)
    for key, indices in indices_by_key.items():
        timeline = _Timeline(key, history, log)
        for i in sorted(indices, key=lambda index: decisions[index].tx.ts - decisions[index].lag_ms):
            tx, prefix, lag_ms = decisions[i]
            state = timeline.state(tx.ts - lag_ms, prefix.slots[str(slot_of(*key, slots))])
            KERNELS[key[0]].read(state, ROW_OF[key[0]](tx), log.clock.horizon_ms, out[i])
    return out


class _HistoryEnd:
    """The history as states up to a time, and as rows by key from there on."""

    def __init__(self, tables: HistoryTables, log: LogEvents, until_ms: int) -> None:
        first = log.clock.first
        until_ms = min(until_ms, first.event_epoch_ms)
        early = pc.less(tables.transactions["ts"], until_ms)
        self.states: StateTable = state_of_history(
            tables.transactions.filter(early), tables.labels, until_ms, first.horizon_ms
        )
        late = tables.transactions.filter(pc.invert(early))
        is_late = pc.and_(
            pc.greater_equal(tables.labels["known_at"], until_ms),
            pc.less(tables.labels["known_at"], first.event_epoch_ms),
        )
        late_labels = tables.labels.filter(is_late)
        self.rows: dict[Key, Ints] = {}
        self.labels: dict[Key, Ints] = {}
        for entity in WINDOWED:
            _split(late, entity, entity_rows(late, entity), self.rows)
            if entity in LABELLED and late_labels.num_rows:
                _split(late_labels, entity, label_rows(late_labels), self.labels)


def _split(table: pa.Table, entity: str, rows: Ints, by_key: dict[Key, Ints]) -> None:
    """Add the rows of a table, shape (n, width), to those of their keys."""
    indices, values = codes(table, KEY_FIELD[entity])
    order = np.argsort(indices, kind="stable")
    starts = np.searchsorted(indices[order], np.arange(len(values) + 1))
    for code, value in enumerate(values):
        if value is not None and starts[code + 1] > starts[code]:
            by_key[entity, value] = rows[order[starts[code] : starts[code + 1]]]


class _Events(NamedTuple):
    """Events of a key in time order."""

    times: Ints
    rows: Ints
    partitions: Ints
    """Of the log; -1 for the history's."""
    offsets: Ints

    def visible(self, end: int, watermarks: Sequence[int]) -> Flags:
        """Which of the first `end` the history or the log up to the watermarks holds."""
        partitions = self.partitions[:end]
        return (partitions < 0) | (self.offsets[:end] <= np.asarray(watermarks)[partitions])


def _events(history: Ints | None, log: KeyEvents | None, no_rows: Ints, time_column: int) -> _Events:
    past = no_rows if history is None else history
    live = log.array() if log is not None and log.rows else no_rows
    positions = log.positions if log is not None else []
    rows = np.concatenate([past, live])
    sources = np.array([(-1, -1)] * len(past) + list(positions), np.int64).reshape(len(rows), 2)
    order = np.argsort(rows[:, time_column], kind="stable")
    return _Events(rows[order, time_column], rows[order], sources[order, 0], sources[order, 1])


class _Timeline:
    """One key's events, and its state as of the latest time asked for."""

    def __init__(self, key: Key, history: _HistoryEnd, log: LogEvents) -> None:
        entity = self._entity = key[0]
        base = history.states.get(key)
        self._base: State = states.empty(entity) if base is None else base
        self._horizon_ms, self._partitions = log.clock.horizon_ms, log.partitions
        self._rows = _events(history.rows.get(key), log.by_key.get(key), NO_ROWS[entity], 0)
        labels = log.labels_by_key.get(key) if entity in LABELLED else None
        self._labels = _events(history.labels.get(key), labels, NO_LABELS, 1)
        self._state, self._row_count, self._label_count = self._base, 0, 0

    def state(self, until_ms: int, watermarks: Sequence[int]) -> State:
        """The state of the events before a time that the log holds up to the watermarks; times ascend."""
        end = int(np.searchsorted(self._rows.times, until_ms))
        label_end = int(np.searchsorted(self._labels.times, until_ms))
        rows = self._rows.visible(end, watermarks[: self._partitions])
        labels = self._labels.visible(label_end, watermarks[self._partitions :])
        if not (rows.all() and labels.all()):  # something came late: not a part of what later decisions have
            return self._fold(self._base, self._rows.rows[:end][rows], self._labels.rows[:label_end][labels])
        self._state = self._fold(
            self._state,
            self._rows.rows[self._row_count : end],
            self._labels.rows[self._label_count : label_end],
        )
        self._row_count, self._label_count = end, label_end
        return self._state

    def _fold(self, state: State, rows: Ints, labels: Ints) -> State:
        if not len(rows) and not len(labels):
            return state
        return states.fold(self._entity, state, rows, labels, self._horizon_ms)
