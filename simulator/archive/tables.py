"""A decided stretch as the tables of the archive."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from fraudsim.archive.layout import LAYOUTS
from fraudsim.arrays import Ints
from fraudsim.log.events import ACTIONS, SCHEMA_VERSION, Decision, Label, Transaction, encoder
from fraudsim.log.headers import ORDINAL, SEGMENT, SOURCE
from fraudsim.log.topics import DECISIONS, LABELS, TRANSACTIONS, TRUTH
from scorer.policy.policy import Choice
from simulator.line.decided import DecidedStretch
from stream_features.catalogue.features import HASH, KEY_FIELD
from stream_features.vector import SIZE

_NONE: Final = Choice("approve", [], [], 1.0)
_DEFAULTS: Final = {
    field.name: field.default
    for field in msgspec.structs.fields(Decision)
    if field.default is not msgspec.NODEFAULT
}


class LogPositions(NamedTuple):
    """Where records stand in the log, shape (n,) each."""

    partition: Ints
    offset: Ints
    at_ms: Ints
    """Event time, which is the broker's time in a simulated run."""


class ServedBy(NamedTuple):
    """What decided, as the decisions say."""

    model_version: str
    policy_version: str
    variant: str


def archived(
    topic: str, positions: LogPositions, keys: Sequence[str] | pa.Array, fields: Mapping[str, Any]
) -> pa.Table:
    """Records of a topic in the archive's layout; fields that are not given are null."""
    schema, n = LAYOUTS[topic].schema, len(positions.offset)
    columns_by_name = {
        "topic": pa.repeat(topic, n),
        "partition": pa.array(positions.partition.astype(np.int32)),
        "offset": pa.array(positions.offset),
        "broker_ts_ms": pa.array(positions.at_ms),
        "key": keys,
        "schema_version": pa.repeat(SCHEMA_VERSION, n),
        **fields,
    }
    columns = []
    for field in schema:
        values = columns_by_name.get(field.name)
        if values is None:
            columns.append(pa.nulls(n, field.type))
            continue
        array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, field.type)
        columns.append(array.cast(field.type) if array.type != field.type else array)
    return pa.Table.from_arrays(columns, schema=schema)


def headers(source: str, ordinals: Ints | None, n: int) -> pa.Array:
    """The headers of records: the clock's segment, the source, and the ordinals if there are any."""
    names, values = [SEGMENT, SOURCE], [b"0", source.encode()]
    per_record = 2 if ordinals is None else 3
    all_names = names * n if ordinals is None else [*names, ORDINAL] * n
    all_values: list[bytes] = (
        values * n
        if ordinals is None
        else [value for ordinal in ordinals.tolist() for value in (*values, str(ordinal).encode())]
    )
    structs = pa.StructArray.from_arrays(
        [pa.array(all_names, pa.string()), pa.array(all_values, pa.binary())], ["name", "value"]
    )
    return pa.ListArray.from_arrays(pa.array(np.arange(n + 1, dtype=np.int32) * per_record), structs)


def made_transactions(decided: DecidedStretch, rows: Ints) -> pa.Table:
    """The transactions at `rows` as they were made."""
    table = decided.stretch.transactions
    changed = {row: tx for row, tx in decided.changed.items() if decided.present[row]}
    if changed:
        index = np.array(sorted(changed), np.int64)
        for name in ("card_id", "merchant_id", "amount_cents", "country", "lat", "lon"):
            values = table[name].to_pylist()
            for row in index.tolist():
                values[row] = getattr(changed[row], name)
            kind = table.schema.field(name).type
            plain = kind.value_type if pa.types.is_dictionary(kind) else kind
            table = table.set_column(table.column_names.index(name), name, pa.array(values, plain))
    return table if len(rows) == table.num_rows else table.take(pa.array(rows))


def transaction_table(table: pa.Table, positions: LogPositions, header_lists: pa.Array) -> pa.Table:
    """Transactions of the archive."""
    fields = {name: table[name] for name in table.column_names}
    fields |= {"headers": header_lists, "sent_at": np.zeros(table.num_rows, np.int64)}
    return archived(TRANSACTIONS, positions, table["card_id"], fields)


def truth_table(decided: DecidedStretch, rows: Ints, partition: Ints, offset: Ints) -> pa.Table:
    """The truth of the frauds among `rows`, in the archive."""
    truth = decided.stretch.truth.take(pa.array(rows))
    at_ms = decided.stretch.transactions["ts"].to_numpy()[rows]
    keys = [decided.transaction(row).card_id for row in rows.tolist()]
    fields = {name: truth[name] for name in truth.column_names}
    return archived(TRUTH, LogPositions(partition, offset, at_ms), keys, fields)


def label_table(labels: Sequence[Label], positions: LogPositions, header_lists: pa.Array) -> pa.Table:
    """Labels of the archive."""
    names = [field.name for field in LAYOUTS[LABELS].fields if field.name != "schema_version"]
    fields: dict[str, Any] = {name: [getattr(label, name) for label in labels] for name in names}
    return archived(
        LABELS, positions, [label.card_id for label in labels], fields | {"headers": header_lists}
    )


def decision_table(
    decided: DecidedStretch,
    rows: Ints,
    transactions: pa.Table,
    positions: LogPositions,
    served_by: ServedBy,
    extra: Mapping[str, Any],
) -> pa.Table:
    """Decisions of the archive; `extra` has the columns that need more than this."""
    choices = [decided.choices.get(row, _NONE) for row in rows.tolist()] if decided.choices else []
    n = len(rows)
    actions = pa.DictionaryArray.from_arrays(pa.array(decided.action[rows]), pa.array(ACTIONS))
    lists = {
        "rule_hits": _lists([choice.rule_hits for choice in choices], n),
        "held_back": _lists([choice.held_back for choice in choices], n),
    }
    stamps = pa.array(positions.at_ms * 1000)
    blocks = [decided.blocks.get(row) for row in rows.tolist()] if decided.blocks else [None] * n
    fields: dict[str, Any] = {
        **{
            name: transactions[name]
            for name in ("tx_id", "ts", "card_id", "amount_cents", "merchant_id", "channel")
        },
        "score": decided.scores[rows].astype(np.float64),
        "action": actions,
        "model_version": pa.repeat(served_by.model_version, n),
        "policy_version": pa.repeat(served_by.policy_version, n),
        "variant": pa.repeat(served_by.variant, n),
        **{
            f"stamp_{name}": stamps
            for name in ("intended", "received", "state_read", "features", "scored", "decided")
        },
        "source_partition": positions.partition,
        "source_offset": positions.offset,
        "staleness_ms": (positions.at_ms - decided.seen_to[rows]).astype(np.float64),
        "feature_hash": pa.repeat(HASH, n),
        "via": pa.repeat("stream", n),
        **{name: pa.repeat(False, n) for name in ("stale", "degraded", "uncertain")},
        "probability": decided.probabilities[rows],
        "propensities": _propensities(decided, rows, choices),
        "weight": np.array([choice.weight for choice in choices]) if choices else np.ones(n),
        "block": [None if block is None else encoder.encode(block).decode() for block in blocks],
        **lists,
        **extra,
    }
    return archived(DECISIONS, positions, transactions["card_id"], fields)


def _propensities(decided: DecidedStretch, rows: Ints, choices: Sequence[Choice]) -> pa.Array:
    """The probabilities of the four actions; certain where the policy had nothing to see."""
    values = np.zeros((len(rows), len(ACTIONS)))
    values[np.arange(len(rows)), decided.action[rows]] = 1.0
    for index, choice in enumerate(choices):
        if choice.weight > 1:
            values[index] = choice.propensities
    offsets = pa.array(np.arange(len(rows) + 1, dtype=np.int32) * len(ACTIONS))
    return pa.ListArray.from_arrays(offsets, pa.array(values.reshape(-1)))


def _lists(values: Sequence[Sequence[str]], n: int) -> pa.Array:
    if not any(values):
        offsets = pa.array(np.zeros(n + 1, np.int32))
        return pa.ListArray.from_arrays(offsets, pa.array([], pa.string()))
    return pa.array(list(values), pa.list_(pa.string()))


def vector_lists(decided: DecidedStretch, rows: Ints) -> pa.Array:
    """The vectors at `rows`, null where a feature is unknown."""
    values = decided.vectors if len(rows) == len(decided.vectors) else decided.vectors[rows]
    flat = pa.array(values.reshape(-1), from_pandas=True)
    return pa.ListArray.from_arrays(pa.array(np.arange(len(rows) + 1, dtype=np.int32) * SIZE), flat)


def slots_of(transactions: pa.Table, slot_by: Mapping[str, Mapping[str | None, int]]) -> list[list[int]]:
    """The slots of each transaction's keys, each once; `slot_by` has them by entity and key."""
    columns = [
        [slot_by[entity][key] for key in transactions[field].to_pylist()]
        for entity, field in KEY_FIELD.items()
    ]
    return [sorted({slot for slot in row if slot >= 0}) for row in zip(*columns, strict=True)]


def transaction_of(row: Mapping[str, Any]) -> Transaction:
    """A row of the archive as an event."""
    names = (name for name in Transaction.__struct_fields__ if row.get(name) is not None)
    return Transaction(**{name: row[name] for name in names})
