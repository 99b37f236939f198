"""Served vectors recomputed by the oracle over history and log: slow, so for a small sample."""

from collections.abc import Iterable
from functools import reduce
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from fraudsim.log.events import Label, LogPrefix, Transaction
from fraudsim.log.partitioning import slot_of
from stream_features.catalogue.features import KEY_FIELD, LABELLED, LONGEST, TAIL_RESOLUTION
from stream_features.offline.oracle import oracle
from stream_features.parity.log_events import HistoryTables, Key, LogEvents, Position
from stream_features.vector import keys_of

REACH_MS: Final = LONGEST + max(TAIL_RESOLUTION.values())
"""What lies further back is in no window."""


class BruteForce:
    """The oracle for a sample of the log's transactions."""

    def __init__(
        self, log: LogEvents, history: HistoryTables, sample: Iterable[Transaction], slots: int
    ) -> None:
        self._log, self._slots = log, slots
        transactions = list(sample)
        keys = {key for tx in transactions for key in keys_of(tx)}
        since = min((tx.ts for tx in transactions), default=0) - REACH_MS
        self._history: dict[Key, list[Transaction]] = {}
        self._history_labels: dict[Key, list[Label]] = {}
        recent = history.transactions.filter(pc.greater_equal(history.transactions["ts"], since))
        for tx in _structs_with_keys(recent, Transaction, keys):
            for key in keys_of(tx):
                self._history.setdefault(key, []).append(tx)
        for label in _structs_with_keys(history.labels, Label, keys):
            if label.merchant_id is not None and label.known_at < log.clock.first.event_epoch_ms:
                self._history_labels.setdefault(("merchant", label.merchant_id), []).append(label)

    def vector(self, tx: Transaction, prefix: LogPrefix, lag_ms: int = 0) -> list[float]:
        """Every feature of a transaction of the sample, from the history and what the prefix holds.

        With a lag only what happened, or became known, before `tx.ts - lag_ms` counts.
        """
        keys = keys_of(tx)
        events = {key[0]: self._events(key, prefix) for key in keys}
        labels = [label for key in keys if key[0] in LABELLED for label in self._labels(key, prefix)]
        if lag_ms:
            until_ms = tx.ts - lag_ms
            events = {name: [e for e in items if e.ts < until_ms] for name, items in events.items()}
            labels = [label for label in labels if label.known_at < until_ms]
        return oracle(tx, events, labels, self._log.clock.horizon_ms)

    def _watermarks(self, key: Key, prefix: LogPrefix) -> list[int]:
        return prefix.slots[str(slot_of(*key, self._slots))]

    def _events(self, key: Key, prefix: LogPrefix) -> list[Transaction]:
        """A key's transactions: the history's, and the log's that the prefix holds."""
        watermarks = self._watermarks(key, prefix)

        def is_held(position: Position, tx: Transaction) -> bool:
            partition, offset = position
            unfolded = prefix.tail_from[partition] <= offset <= prefix.tail_to[partition]
            return unfolded or offset <= watermarks[partition] or tx.tx_id in prefix.pending

        events = self._log.by_key.get(key)
        positions = events.positions if events else []
        log_events = [(position, self._log.transactions[position]) for position in positions]
        return self._history.get(key, []) + [tx for position, tx in log_events if is_held(position, tx)]

    def _labels(self, key: Key, prefix: LogPrefix) -> list[Label]:
        """A merchant's labels: the history's, and the log's that the prefix holds."""
        watermarks = self._watermarks(key, prefix)[self._log.partitions :]
        events = self._log.labels_by_key.get(key)
        positions = events.positions if events else []
        held = [(partition, offset) for partition, offset in positions if offset <= watermarks[partition]]
        return self._history_labels.get(key, []) + [self._log.labels[position] for position in held]


def _structs_with_keys(table: pa.Table, event_type: type[Any], keys: set[Key]) -> Iterable[Any]:
    """The rows that have one of the keys, as structs."""
    names = [f.name for f in msgspec.structs.fields(event_type) if f.name in table.column_names]
    conditions = [
        pc.is_in(table[field].cast(pa.string()), pa.array([k for e, k in keys if e == entity], pa.string()))
        for entity, field in KEY_FIELD.items()
        if field in table.column_names
    ]
    for row in table.select(names).filter(reduce(pc.or_kleene, conditions)).to_pylist():
        yield event_type(**{name: value for name, value in row.items() if value is not None})
