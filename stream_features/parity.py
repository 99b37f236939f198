"""Parity: every served vector again, from the history and exactly the log prefix that its decision names.

Shares no state and no I/O with worker, reader and tail: it reads the archived log, decides anew what
counts, picks for each decision the set of events it names, and folds that set on top of the history.
A sample is computed a third time by brute force.
"""

import json
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fraudsim.archive import read_log
from fraudsim.errors import FraudsimError
from fraudsim.events import Label, LogPrefix, Transaction
from fraudsim.settings import Settings
from fraudsim.slots import slot_of
from fraudsim.topics import DECISIONS, LABELS, TRANSACTIONS
from fraudsim.validity import Judge, Rejected
from stream_features import state as states
from stream_features.archived_log import archived_clock, archived_records
from stream_features.catalogue import HASH, KEY_FIELD, LABELLED, NAMES
from stream_features.encode import ROW_OF, label_row
from stream_features.oracle import oracle
from stream_features.prime import Table, read_history_tables, state_of_history
from stream_features.state import KERNELS, NO_LABELS, NO_ROWS, Vector
from stream_features.vector import as_vector, keys_of, vector

EXAMPLES: Final = 5
ORACLE_TOLERANCE: Final = 2e-6
"""Relative; a served value is a float32."""

Ints = npt.NDArray[np.int64]
Key = tuple[str, str]
_decode_prefix = msgspec.json.Decoder(LogPrefix).decode


@dataclass
class Result:
    """What a check found; `fraudsim features parity --json` writes it."""

    vectors: int = 0
    features: int = len(NAMES)
    mismatches: int = 0
    """Feature values that differ, anywhere."""
    uncertain: int = 0
    """Decisions that could not be told exactly when they were made; not compared."""
    degraded: int = 0
    """Decisions made without state; there is nothing to compare."""
    missing_pending: int = 0
    """Decisions that counted an HTTP transaction which never reached the log; not compared."""
    by_brute_force: int = 0
    by_feature: dict[str, int] = field(default_factory=dict)
    examples: list[dict[str, Any]] = field(default_factory=list)

    def differ(self, tx_id: str, name: str, served: float, expected: float) -> None:
        self.mismatches += 1
        self.by_feature[name] = self.by_feature.get(name, 0) + 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(
                {"tx_id": tx_id, "feature": name, "served": float(served), "recomputed": float(expected)}
            )


@dataclass
class _Events:
    """What the log added to one key: kernel rows, and where each stands."""

    at: list[tuple[int, int]] = field(default_factory=list)
    rows: list[tuple[int, ...]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    arrays: tuple[Ints, Ints] | None = None

    def frozen(self, width: int) -> tuple[Ints, Ints]:
        if self.arrays is None:
            self.arrays = (
                np.array(self.at, np.int64).reshape(-1, 2),
                np.array(self.rows, np.int64).reshape(-1, width),
            )
        return self.arrays


class History(NamedTuple):
    """The history's tables."""

    transactions: pa.Table
    labels: pa.Table


class LogEvents:
    """The archived log as the judge sees it: valid, unique transactions and labels by key."""

    def __init__(self, run_dir: Path, partitions: int) -> None:
        self.partitions = partitions
        self.clock = archived_clock(run_dir)
        judge = Judge(self.clock)
        self.transactions: dict[tuple[int, int], Transaction] = {}
        self.labels: list[tuple[int, int, Label]] = []
        self.by_key: dict[Key, _Events] = {}
        self.labels_by_key: dict[Key, _Events] = {}
        self.id_of: dict[str, tuple[int, int]] = {}
        for row, value in archived_records(run_dir, TRANSACTIONS, Transaction):
            tx = judge.transaction(row.partition, row.offset, row.broker_ts_ms, row.headers, value)
            if not isinstance(tx, Rejected):
                self._add_transaction(row.partition, row.offset, tx)
        for row, value in archived_records(run_dir, LABELS, Label):
            label = judge.label(row.partition, row.offset, row.broker_ts_ms, row.headers, value)
            if not isinstance(label, Rejected) and label.merchant_id is not None:
                self.labels.append((row.partition, row.offset, label))
                found = self.labels_by_key.setdefault(("merchant", label.merchant_id), _Events())
                found.at.append((row.partition, row.offset))
                found.rows.append(label_row(label))

    def _add_transaction(self, partition: int, offset: int, tx: Transaction) -> None:
        self.transactions[partition, offset] = tx
        self.id_of[tx.tx_id] = (partition, offset)
        for entity, key in keys_of(tx):
            found = self.by_key.setdefault((entity, key), _Events())
            found.at.append((partition, offset))
            found.rows.append(ROW_OF[entity](tx))
            found.ids.append(tx.tx_id)

    def rows_within(self, key: Key, prefix: LogPrefix, slots: int) -> Ints:
        """Rows of a key's transactions that a prefix holds."""
        found = self.by_key.get(key)
        if found is None:
            return NO_ROWS[key[0]]
        at, rows = found.frozen(KERNELS[key[0]].width)
        chosen = self.within(at, key, prefix, slots)
        if prefix.pending:
            chosen |= np.isin(np.array(found.ids), prefix.pending)
        return rows[chosen]

    def within(self, at: Ints, key: Key, prefix: LogPrefix, slots: int) -> npt.NDArray[np.bool_]:
        """Which of some (partition, offset) places a prefix holds for a key."""
        folded = np.array(prefix.slots[str(slot_of(*key, slots))], np.int64)[: self.partitions]
        first, last = np.array(prefix.tail_from, np.int64), np.array(prefix.tail_to, np.int64)
        partition, offset = at[:, 0], at[:, 1]
        in_tail = (offset >= first[partition]) & (offset <= last[partition])
        return (offset <= folded[partition]) | in_tail

    def label_rows_within(self, key: Key, prefix: LogPrefix, slots: int) -> Ints:
        """Rows of a merchant's labels that a prefix holds."""
        found = self.labels_by_key.get(key)
        if found is None:
            return NO_LABELS
        at, rows = found.frozen(3)
        folded = np.array(prefix.slots[str(slot_of(*key, slots))], np.int64)[self.partitions :]
        return rows[at[:, 1] <= folded[at[:, 0]]]


def check_parity(
    run_dir: Path,
    history: Path,
    settings: Settings,
    sample: int = 200,
    seed: int = 1,
    on_vector: Callable[[int], None] = lambda _: None,
) -> Result:
    """Recompute every served vector of an archived run.

    Raises:
        FraudsimError: the run was served with another catalogue, or its folder is not whole.
    """
    log = LogEvents(run_dir, settings.partitions)
    first = log.clock.first
    tables = History(*read_history_tables(history))
    base = state_of_history(*tables, first.event_epoch_ms, first.horizon_ms)
    decisions = first_decisions(run_dir).to_pylist()
    result = Result()
    chosen = set(random.Random(seed).sample(range(len(decisions)), min(sample, len(decisions))))
    places = ((decisions[i]["source_partition"], decisions[i]["source_offset"]) for i in chosen)
    sampled = [log.transactions[place] for place in places if place in log.transactions]
    brute = _BruteForce(log, tables, sampled, settings.slots)
    for i, row in enumerate(decisions):
        if row["feature_hash"] != HASH:
            raise FraudsimError(f"{run_dir} was served with catalogue {row['feature_hash']}, this is {HASH}")
        if row["degraded"]:
            result.degraded += 1
            continue
        prefix = _decode_prefix(row["prefix"].encode())
        tx = log.transactions.get((row["source_partition"], row["source_offset"]))
        if row["uncertain"]:
            result.uncertain += 1
            continue
        if tx is None or any(item not in log.id_of for item in prefix.pending):
            result.missing_pending += 1
            continue
        served = as_vector(row["features"])
        _compare(result, tx, served, _recomputed(tx, prefix, log, base, settings.slots, first.horizon_ms))
        if i in chosen:
            brute.compare(result, tx, prefix, served)
        result.vectors += 1
        on_vector(result.vectors)
    return result


def _recomputed(
    tx: Transaction, prefix: LogPrefix, log: LogEvents, base: Table, slots: int, horizon_ms: int
) -> Vector:
    its: dict[str, states.State] = {}
    for key in keys_of(tx):
        labels = log.label_rows_within(key, prefix, slots) if key[0] in LABELLED else NO_LABELS
        start = base.get(key)
        its[key[0]] = states.fold(
            key[0],
            start if start is not None else states.empty(key[0]),
            log.rows_within(key, prefix, slots),
            labels,
            horizon_ms,
        )
    return vector(tx, its, horizon_ms)[0]


def _compare(result: Result, tx: Transaction, served: Vector, expected: Vector) -> None:
    same = (served.view(np.int32) == expected.view(np.int32)) | (np.isnan(served) & np.isnan(expected))
    for place in np.flatnonzero(~same):
        result.differ(tx.tx_id, NAMES[place], served[place], expected[place])


class _BruteForce:
    """The oracle over history and log, for a sample of transactions."""

    def __init__(self, log: LogEvents, history: History, sample: Iterable[Transaction], slots: int) -> None:
        self._log, self._slots = log, slots
        keys = {key for tx in sample for key in keys_of(tx)}
        self._history: dict[Key, list[Transaction]] = {}
        self._history_labels: dict[Key, list[Label]] = {}
        for tx in _structs_of(history.transactions, Transaction, keys):
            for key in keys_of(tx):
                self._history.setdefault(key, []).append(tx)
        for label in _structs_of(history.labels, Label, keys):
            if label.merchant_id is not None and label.known_at < log.clock.first.event_epoch_ms:
                self._history_labels.setdefault(("merchant", label.merchant_id), []).append(label)

    def compare(self, result: Result, tx: Transaction, prefix: LogPrefix, served: Vector) -> None:
        keys = keys_of(tx)
        events = {key[0]: self._events(key, prefix) for key in keys}
        labels = [label for key in keys if key[0] in LABELLED for label in self._labels(key, prefix)]
        values = oracle(tx, events, labels, self._log.clock.horizon_ms)
        result.by_brute_force += 1
        for i, (name, value) in enumerate(zip(NAMES, values, strict=True)):
            expected = float(np.float32(value))
            got = float(served[i])
            if np.isnan(got) and np.isnan(expected):
                continue
            if not abs(got - expected) <= ORACLE_TOLERANCE * max(1.0, abs(expected)):
                result.differ(tx.tx_id, name, got, expected)

    def _events(self, key: Key, prefix: LogPrefix) -> list[Transaction]:
        """A key's transactions: those of the history, and those of the log that a prefix holds."""
        events = {tx.tx_id: tx for tx in self._history.get(key, [])}
        found = self._log.by_key.get(key)
        if found is not None:
            at, _ = found.frozen(KERNELS[key[0]].width)
            inside = self._log.within(at, key, prefix, self._slots)
            for tx_id, place, here in zip(found.ids, found.at, inside, strict=True):
                if here or tx_id in prefix.pending:
                    events[tx_id] = self._log.transactions[place]
        return list(events.values())

    def _labels(self, key: Key, prefix: LogPrefix) -> list[Label]:
        """A merchant's labels, likewise."""
        folded = prefix.slots[str(slot_of(*key, self._slots))][self._log.partitions :]
        return self._history_labels.get(key, []) + [
            label
            for partition, offset, label in self._log.labels
            if ("merchant", label.merchant_id) == key and offset <= folded[partition]
        ]


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


def first_decisions(run_dir: Path) -> pa.Table:
    """Of several decisions for one source offset the first in the log stands."""
    table = read_log(run_dir, DECISIONS)
    table = table.filter(pc.is_null(table["error"]))
    sources = (
        np.column_stack([table["source_partition"].to_numpy(), table["source_offset"].to_numpy()])
        if table.num_rows
        else np.empty((0, 2))
    )
    _, first = np.unique(sources, axis=0, return_index=True)
    return table.take(pa.array(np.sort(first)))


def state_after(run_dir: Path, history: Path, settings: Settings) -> dict[Key, bytes]:
    """Every key's canonical state after the whole archived log: what Redis must hold once all is folded."""
    log = LogEvents(run_dir, settings.partitions)
    first = log.clock.first
    base = state_of_history(*read_history_tables(history), first.event_epoch_ms, first.horizon_ms)
    result: dict[Key, bytes] = {}
    for key in base.keys() | log.by_key.keys() | log.labels_by_key.keys():
        entity = key[0]
        found, known = log.by_key.get(key), log.labels_by_key.get(key)
        start = base.get(key)
        state = states.fold(
            entity,
            start if start is not None else states.empty(entity),
            found.frozen(KERNELS[entity].width)[1] if found else NO_ROWS[entity],
            known.frozen(3)[1] if known else NO_LABELS,
            first.horizon_ms,
        )
        result[key] = states.to_bytes(state)
    return result


def write_result(result: Result, path: Path) -> None:
    """The result as JSON."""
    path.write_text(json.dumps(result.__dict__, indent=2) + "\n")
