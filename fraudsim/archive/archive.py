"""The archive of a run, its log in Parquet: what its files look like, writing them, and reading them back.

`<run>/log/<topic>-<seq>.parquet` holds a stretch of one topic, dots in the topic's name kept (so
`transactions-*` never matches `transactions.dlq-…`). A file appears whole, by rename; its footer says which
offsets it holds, so resuming reads footers only.
"""

import json
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fraudsim.errors import InvariantError
from fraudsim.log import events
from fraudsim.log.acceptance import HEADERS_REJECTED, UNREADABLE_HEADERS, Rejected, read_event
from fraudsim.log.headers import header
from fraudsim.log.topics import CLOCK, DEAD_LETTERS, DECISIONS, LABELS, TRANSACTIONS, TRUTH

RANGES_KEY: Final = b"fraudsim.ranges"
"""Footer entry: {partition: [[first, last], …]} of the offsets in the file, JSON."""
Ranges = dict[int, list[tuple[int, int]]]
"""Per partition, ascending [first, last] of offsets, both ends included."""

_ARROW_TYPES: Final[dict[str, pa.DataType]] = {
    "str": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
}


@dataclass(frozen=True, slots=True)
class Record:
    """A record as Kafka has it."""

    partition: int
    offset: int
    broker_ts_ms: int
    key: bytes | None
    headers: Sequence[tuple[str, bytes]]
    value: bytes | None


@dataclass(frozen=True)
class Layout:
    """How a topic's events become columns."""

    decode: Callable[[bytes], Any]
    row: Callable[[Any], tuple[Any, ...]]
    """The decoded columns of one event."""
    fields: tuple[pa.Field, ...]

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([*_RECORD_FIELDS, *self.fields])


_RECORD_FIELDS: Final = (
    pa.field("topic", pa.string()),
    pa.field("partition", pa.int32()),
    pa.field("offset", pa.int64()),
    pa.field("broker_ts_ms", pa.int64()),
    pa.field("key", pa.string()),
    pa.field("headers", pa.list_(pa.struct([("name", pa.string()), ("value", pa.binary())]))),
    pa.field("error", pa.string()),
    pa.field("raw", pa.binary()),
)


def _arrow_type(kind: msgspec.inspect.Type) -> pa.DataType:
    """The column type of a field's type; literals and unions with None take that of their values."""
    match kind:
        case msgspec.inspect.UnionType():
            (one,) = (t for t in kind.types if not isinstance(t, msgspec.inspect.NoneType))
            return _arrow_type(one)
        case msgspec.inspect.LiteralType():
            return _ARROW_TYPES[type(kind.values[0]).__name__]
        case msgspec.inspect.ListType():
            return pa.list_(_arrow_type(kind.item_type))
        case msgspec.inspect.StrType():
            return pa.string()
        case msgspec.inspect.IntType():
            return pa.int64()
        case msgspec.inspect.FloatType():
            return pa.float64()
        case msgspec.inspect.BoolType():
            return pa.bool_()
        case _:
            raise InvariantError(f"no column type for {kind}")


_COLLIDING: Final = frozenset(f.name for f in _RECORD_FIELDS)


def _column(name: str) -> str:
    """A dead letter's own topic, partition… become `letter_topic`, `letter_partition`…"""
    return f"letter_{name}" if name in _COLLIDING else name


def _flat(event: type[msgspec.Struct], decode: Callable[[bytes], Any]) -> Layout:
    info = msgspec.inspect.type_info(event)
    assert isinstance(info, msgspec.inspect.StructType)
    fields = tuple(pa.field(_column(f.encode_name), _arrow_type(f.type)) for f in info.fields)
    return Layout(decode, msgspec.structs.astuple, fields)


def _decision_layout() -> Layout:
    """Stamps as columns `stamp_…`, features as float32, the log prefix as JSON."""
    names = [f.name for f in msgspec.structs.fields(events.Decision)]
    at_stamps, at_prefix = names.index("stamps"), names.index("prefix")
    info = msgspec.inspect.type_info(events.Decision)
    assert isinstance(info, msgspec.inspect.StructType)
    fields: list[pa.Field] = []
    for field in info.fields:
        if field.name == "stamps":
            stamps = msgspec.structs.fields(events.Stamps)
            fields += [pa.field(f"stamp_{f.name}", pa.int64()) for f in stamps]
        elif field.name == "prefix":
            fields.append(pa.field("prefix", pa.string()))
        elif field.name == "features":
            fields.append(pa.field("features", pa.list_(pa.float32())))
        else:
            fields.append(pa.field(field.name, _arrow_type(field.type)))

    def row(event: events.Decision) -> tuple[Any, ...]:
        flat: list[Any] = list(msgspec.structs.astuple(event))
        flat[at_prefix] = events.encoder.encode(event.prefix).decode()
        flat[at_stamps : at_stamps + 1] = msgspec.structs.astuple(event.stamps)
        return tuple(flat)

    assert at_stamps < at_prefix
    return Layout(events.decode_decision, row, tuple(fields))


LAYOUTS: Final[dict[str, Layout]] = {
    TRANSACTIONS: _flat(events.Transaction, events.decode_transaction),
    LABELS: _flat(events.Label, events.decode_label),
    TRUTH: _flat(events.Truth, events.decode_truth),
    DECISIONS: _decision_layout(),
    CLOCK: _flat(events.Segment, events.decode_segment),
    DEAD_LETTERS: _flat(events.DeadLetter, events.decode_dead_letter),
}


def to_table(topic: str, records: Sequence[Record]) -> pa.Table:
    """Records of one topic as a table; one that cannot be decoded has its bytes in `raw`, why in `error`.

    So does one whose headers cannot be read; its value, where that can be, is in its columns as well.
    """
    layout = LAYOUTS[topic]
    nothing = (None,) * len(layout.fields)
    rows: list[tuple[Any, ...]] = []
    errors: list[str | None] = []
    for record in records:
        event = read_event(record.value, layout.decode)
        if isinstance(event, Rejected):
            rows.append(nothing)
            errors.append(_error(event))
        else:
            rows.append(layout.row(event))
            unreadable = header(record.headers, UNREADABLE_HEADERS) is not None
            errors.append(_error(HEADERS_REJECTED) if unreadable else None)
    columns = _decoded_columns(layout, rows, errors)
    raw = [None if e is None else r.value for r, e in zip(records, errors, strict=True)]
    record_columns = [
        pa.array([topic] * len(records), pa.string()),
        pa.array([r.partition for r in records], pa.int32()),
        pa.array([r.offset for r in records], pa.int64()),
        pa.array([r.broker_ts_ms for r in records], pa.int64()),
        pa.array([_text(r.key) for r in records], pa.string()),
        pa.array([[{"name": n, "value": v} for n, v in r.headers] for r in records], _RECORD_FIELDS[5].type),
        pa.array(errors, pa.string()),
        pa.array(raw, pa.binary()),
    ]
    return pa.Table.from_arrays([*record_columns, *columns], schema=layout.schema)


def _error(why: Rejected) -> str:
    return f"{why.field}: {why.reason}"


def _text(key: bytes | None) -> str | None:
    return None if key is None else key.decode("utf-8", "backslashreplace")


_UNFIT: Final = (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError)


def _decoded_columns(layout: Layout, rows: list[tuple[Any, ...]], errors: list[str | None]) -> list[pa.Array]:
    """Columns of the decoded rows. A row that no column can hold (an integer past int64) becomes an error."""
    try:
        return _columns(layout, rows)
    except _UNFIT:
        nothing = (None,) * len(layout.fields)
        for i, row in enumerate(rows):
            try:
                _columns(layout, [row])
            except _UNFIT as error:
                rows[i] = nothing
                errors[i] = f"value: no column can hold it: {' '.join(str(error).split())[:200]}"
        return _columns(layout, rows)


def _columns(layout: Layout, rows: list[tuple[Any, ...]]) -> list[pa.Array]:
    values = zip(*rows, strict=True)
    return [pa.array(column, field.type) for column, field in zip(values, layout.fields, strict=True)]


def ranges_of(table: pa.Table) -> Ranges:
    """Stretches of offsets that records, ascending in each partition, cover."""
    partitions, offsets = table["partition"].to_numpy(), table["offset"].to_numpy()
    ranges: Ranges = {}
    for partition in np.unique(partitions).tolist():
        there = offsets[partitions == partition]
        stretches = np.split(there, np.flatnonzero(np.diff(there) != 1) + 1)
        ranges[partition] = [(int(each[0]), int(each[-1])) for each in stretches]
    return ranges


def merge_ranges(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ascending stretches without overlap or touch.

    >>> merge_ranges([(5, 9), (0, 4), (12, 12)])
    [(0, 9), (12, 12)]
    """
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def log_folder(run_dir: Path) -> Path:
    return run_dir / "log"


_NAME = re.compile(r"(?P<topic>.+)-(?P<seq>\d{6,})\.parquet")


def log_files(run_dir: Path, topic: str) -> list[Path]:
    """The whole files of a topic, in the order they were written."""
    found: list[tuple[int, Path]] = []
    for path in log_folder(run_dir).glob(f"{topic}-*.parquet"):
        name = _NAME.fullmatch(path.name)
        if name and name["topic"] == topic:
            found.append((int(name["seq"]), path))
    return [path for _, path in sorted(found)]


def write_file(run_dir: Path, topic: str, seq: int, table: pa.Table) -> Path:
    """Write records of one topic, as `to_table` has them, as one file, on disk as a whole on return.

    Raises:
        InvariantError: the file exists.
    """
    path = log_folder(run_dir) / f"{topic}-{seq:06d}.parquet"
    if path.exists():
        raise InvariantError(f"{path} exists: two archivers write to this folder")
    ranges = json.dumps({str(p): stretches for p, stretches in ranges_of(table).items()})
    table = table.replace_schema_metadata({RANGES_KEY: ranges.encode()})
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        # Hardly a value comes twice; dictionaries took a third more time and a sixth more space.
        pq.write_table(table, file, compression="zstd", use_dictionary=False)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return path


def read_ranges(path: Path) -> Ranges:
    """The offsets a file holds, from its footer.

    Raises:
        ValueError: not a whole file of the archiver.
    """
    try:
        footer = pq.read_metadata(path)
        ranges = json.loads((footer.metadata or {})[RANGES_KEY])
        return {int(p): [(first, last) for first, last in stretches] for p, stretches in ranges.items()}
    except (pa.ArrowException, OSError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path.name} cannot be read: {error}") from error


def read_log(run_dir: Path, topic: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Every archived record of a topic, sorted by (partition, offset).

    Args:
        columns: only these, in this order; all of them by default.

    Raises:
        KeyError: the topic is not archived, or has no such column.
    """
    schema = LAYOUTS[topic].schema
    wanted = schema.names if columns is None else list(columns)
    needed = list(dict.fromkeys(["partition", "offset", *wanted]))
    nothing = pa.schema([schema.field(name) for name in needed]).empty_table()
    tables = [read_archived(path, topic, needed) for path in log_files(run_dir, topic)]
    return _in_order(pa.concat_tables([nothing, *tables])).select(wanted)


def read_archived(path: Path, topic: str, columns: Sequence[str] | None = None) -> pa.Table:
    """The records of one file, sorted by (partition, offset), which must be among the columns."""
    schema = LAYOUTS[topic].schema
    part = schema if columns is None else pa.schema([schema.field(name) for name in columns])
    return _in_order(pq.read_table(path, columns=part.names, schema=part).replace_schema_metadata(None))


def _in_order(table: pa.Table) -> pa.Table:
    return table.sort_by([("partition", "ascending"), ("offset", "ascending")])


def check_no_duplicates(run_dir: Path, topic: str) -> int:
    """How many records of a topic are archived.

    Raises:
        InvariantError: a (partition, offset) is there twice.
    """
    table = read_log(run_dir, topic, ["partition", "offset"])
    counts = table.group_by(["partition", "offset"]).aggregate([([], "count_all")])
    twice = counts.filter(pc.greater(counts["count_all"], 1))
    if twice.num_rows:
        first = twice.slice(0, 1).to_pylist()[0]
        raise InvariantError(
            f"{twice.num_rows} records of {topic} are archived more than once, the first is "
            f"partition {first['partition']} offset {first['offset']}"
        )
    return int(table.num_rows)


def missing_offsets(run_dir: Path, topic: str) -> Ranges:
    """Stretches of offsets that the archive skips, from 0 to the last it holds, by partition."""
    covered: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for path in log_files(run_dir, topic):
        for partition, stretches in read_ranges(path).items():
            covered[partition] += stretches
    return {p: gaps for p, stretches in covered.items() if (gaps := gaps_in(stretches))}


def gaps_in(stretches: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """What is missing from offset 0 to the last.

    >>> gaps_in([(2, 3), (6, 9)])
    [(0, 1), (4, 5)]
    """
    gaps: list[tuple[int, int]] = []
    expected = 0
    for first, last in merge_ranges(stretches):
        if first > expected:
            gaps.append((expected, first - 1))
        expected = last + 1
    return gaps
