"""Served vectors again, by brute force over history and log: for a small sample."""

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
    """The oracle for some transactions of the log."""

    def __init__(
        self, log: LogEvents, history: HistoryTables, sample: Iterable[Transaction], slots: int
    ) -> None:
        self._log, self._slots = log, slots
        sampled = list(sample)
        keys = {key for tx in sampled for key in keys_of(tx)}
        since = min((tx.ts for tx in sampled), default=0) - REACH_MS
        self._history: dict[Key, list[Transaction]] = {}
        self._history_labels: dict[Key, list[Label]] = {}
        recent = history.transactions.filter(pc.greater_equal(history.transactions["ts"], since))
        for tx in _structs_of(recent, Transaction, keys):
            for key in keys_of(tx):
                self._history.setdefault(key, []).append(tx)
        for label in _structs_of(history.labels, Label, keys):
            if label.merchant_id is not None and label.known_at < log.clock.first.event_epoch_ms:
                self._history_labels.setdefault(("merchant", label.merchant_id), []).append(label)

    def vector(self, tx: Transaction, prefix: LogPrefix) -> list[float]:
        """Every feature of a transaction of the sample, from the history and what the prefix holds."""
        keys = keys_of(tx)
        events = {key[0]: self._events(key, prefix) for key in keys}
        labels = [label for key in keys if key[0] in LABELLED for label in self._labels(key, prefix)]
        return oracle(tx, events, labels, self._log.clock.horizon_ms)

    def _folded(self, key: Key, prefix: LogPrefix) -> list[int]:
        return prefix.slots[str(slot_of(*key, self._slots))]

    def _events(self, key: Key, prefix: LogPrefix) -> list[Transaction]:
        """A key's transactions: those of the history, and those of the log that a prefix holds."""
        folded = self._folded(key, prefix)

        def held(place: Position, tx: Transaction) -> bool:
            partition, offset = place
            in_tail = prefix.tail_from[partition] <= offset <= prefix.tail_to[partition]
            return in_tail or offset <= folded[partition] or tx.tx_id in prefix.pending

        found = self._log.by_key.get(key)
        of_log = [(place, self._log.transactions[place]) for place in found.at] if found else []
        return self._history.get(key, []) + [tx for place, tx in of_log if held(place, tx)]

    def _labels(self, key: Key, prefix: LogPrefix) -> list[Label]:
        """A merchant's labels, likewise."""
        folded = self._folded(key, prefix)[self._log.partitions :]
        found = self._log.labels_by_key.get(key)
        held = [place for place in found.at if place[1] <= folded[place[0]]] if found else []
        return self._history_labels.get(key, []) + [self._log.labels[place] for place in held]


def _structs_of(table: pa.Table, event: type[Any], keys: set[Key]) -> Iterable[Any]:
    """The rows that have one of the keys."""
    names = [f.name for f in msgspec.structs.fields(event) if f.name in table.column_names]
    chosen = [
        pc.is_in(table[field].cast(pa.string()), pa.array([k for e, k in keys if e == entity], pa.string()))
        for entity, field in KEY_FIELD.items()
        if field in table.column_names
    ]
    for row in table.select(names).filter(reduce(pc.or_kleene, chosen)).to_pylist():
        yield event(**{name: value for name, value in row.items() if value is not None})
