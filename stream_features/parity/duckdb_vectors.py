"""Served vectors recomputed by DuckDB, from history and log as tables, with the prefixes as columns."""

from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from fraudsim.arrays import Doubles
from fraudsim.log.events import Label, Transaction
from fraudsim.log.partitioning import slot_of
from stream_features.catalogue.features import KEY_FIELD, LABELLED
from stream_features.offline.duckdb_engine import DuckDBEngine
from stream_features.offline.event_tables import event_table, log_event_table
from stream_features.offline.sql.visibility import WithinPrefix
from stream_features.parity.log_events import HistoryTables, LogEvents, ServedDecision

_INTS: Final = pa.list_(pa.int64())


def duckdb_vectors(
    log: LogEvents, history: HistoryTables, decisions: Sequence[ServedDecision], slots: int
) -> Doubles:
    """Every feature of each decided transaction, from the history and its prefix; shape (n, features)."""
    labels_at_start = history.labels.filter(
        pc.less(history.labels["known_at"], log.clock.first.event_epoch_ms)
    )
    queries = event_table(Transaction, [decision.tx for decision in decisions])
    transactions = log_event_table(Transaction, log.transactions)
    labels = log_event_table(Label, log.labels)
    with DuckDBEngine([history.transactions, transactions], [labels_at_start, labels]) as engine:
        visibility = WithinPrefix(log.clock.horizon_ms)
        return engine.features(_add_prefixes(queries, decisions, log.partitions, slots), visibility)


def _add_prefixes(
    queries: pa.Table, decisions: Sequence[ServedDecision], partitions: int, slots: int
) -> pa.Table:
    """`queries` with the columns that `WithinPrefix` reads; an absent entity's watermarks are null."""
    prefixes = [decision.prefix for decision in decisions]
    columns = {
        "lag_ms": pa.array([decision.lag_ms for decision in decisions], pa.int64()),
        "tail_from": pa.array([prefix.tail_from for prefix in prefixes], _INTS),
        "tail_to": pa.array([prefix.tail_to for prefix in prefixes], _INTS),
        "pending": pa.array([prefix.pending for prefix in prefixes], pa.list_(pa.string())),
    }
    for entity, field in KEY_FIELD.items():
        keys = [getattr(decision.tx, field) for decision in decisions]
        watermarks = [
            None if key is None else prefix.slots[str(slot_of(entity, key, slots))]
            for key, prefix in zip(keys, prefixes, strict=True)
        ]
        columns[f"{entity}_folded"] = pa.array([w and w[:partitions] for w in watermarks], _INTS)
        if entity in LABELLED:
            columns[f"{entity}_labels_folded"] = pa.array([w and w[partitions:] for w in watermarks], _INTS)
    for name, column in columns.items():
        queries = queries.append_column(name, column)
    return queries
