"""The columns of each archived topic.

Every record has its topic, partition, offset, broker timestamp, key and headers, then the event's own fields.
A record that cannot be read has `error` and `raw` (the bytes of its value) set. A dead letter's own topic,
partition, … are `letter_topic`, `letter_partition`, …
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import pyarrow as pa

from fraudsim.errors import InvariantError
from fraudsim.log import events
from fraudsim.log.topics import CLOCK, CONTROL, DEAD_LETTERS, DECISIONS, LABELS, TRANSACTIONS, TRUTH

HEADERS_TYPE: Final = pa.list_(pa.struct([("name", pa.string()), ("value", pa.binary())]))
RECORD_FIELDS: Final = (
    pa.field("topic", pa.string()),
    pa.field("partition", pa.int32()),
    pa.field("offset", pa.int64()),
    pa.field("broker_ts_ms", pa.int64()),
    pa.field("key", pa.string()),
    pa.field("headers", HEADERS_TYPE),
    pa.field("error", pa.string()),
    pa.field("raw", pa.binary()),
)
_RECORD_NAMES: Final = frozenset(field.name for field in RECORD_FIELDS)
_LITERAL_TYPES: Final[dict[str, pa.DataType]] = {
    "str": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
}


@dataclass(frozen=True)
class TopicLayout:
    """How a topic's events become columns."""

    decode: Callable[[bytes], Any]
    row: Callable[[Any], tuple[Any, ...]]
    """The values of one event's columns, in the order of `fields`."""
    fields: tuple[pa.Field, ...]

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([*RECORD_FIELDS, *self.fields])


def _column_type(kind: msgspec.inspect.Type) -> pa.DataType:
    """The column type of a struct field; a literal or an optional type takes that of its values."""
    match kind:
        case msgspec.inspect.UnionType():
            (value_type,) = (t for t in kind.types if not isinstance(t, msgspec.inspect.NoneType))
            return _column_type(value_type)
        case msgspec.inspect.LiteralType():
            return _LITERAL_TYPES[type(kind.values[0]).__name__]
        case msgspec.inspect.ListType():
            return pa.list_(_column_type(kind.item_type))
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


def _column_name(field: str) -> str:
    return f"letter_{field}" if field in _RECORD_NAMES else field


def _struct_fields(event: type[msgspec.Struct]) -> tuple[msgspec.inspect.Field, ...]:
    info = msgspec.inspect.type_info(event)
    assert isinstance(info, msgspec.inspect.StructType)
    return info.fields


def _flat_layout(event: type[msgspec.Struct], decode: Callable[[bytes], Any]) -> TopicLayout:
    """One column for each field of the struct."""
    fields = tuple(pa.field(_column_name(f.encode_name), _column_type(f.type)) for f in _struct_fields(event))
    return TopicLayout(decode, msgspec.structs.astuple, fields)


def _decision_layout() -> TopicLayout:
    """Stamps as columns `stamp_…`, features as float32; log prefix, block and assignment as JSON."""
    names = [f.name for f in msgspec.structs.fields(events.Decision)]
    stamps_index, prefix_index = map(names.index, ("stamps", "prefix"))
    optional = [(names.index(name), name) for name in ("block", "assignment")]
    fields: list[pa.Field] = []
    for field in _struct_fields(events.Decision):
        if field.name == "stamps":
            stamps = msgspec.structs.fields(events.Stamps)
            fields += [pa.field(f"stamp_{f.name}", pa.int64()) for f in stamps]
        elif field.name in ("prefix", "block", "assignment"):
            fields.append(pa.field(field.name, pa.string()))
        elif field.name == "features":
            fields.append(pa.field("features", pa.list_(pa.float32())))
        else:
            fields.append(pa.field(field.name, _column_type(field.type)))

    def row(event: events.Decision) -> tuple[Any, ...]:
        values: list[Any] = list(msgspec.structs.astuple(event))
        values[prefix_index] = events.encoder.encode(event.prefix).decode()
        for index, name in optional:
            if values[index] is not None:
                values[index] = events.encoder.encode(getattr(event, name)).decode()
        values[stamps_index : stamps_index + 1] = msgspec.structs.astuple(event.stamps)
        return tuple(values)

    assert stamps_index < prefix_index < min(index for index, _ in optional)
    return TopicLayout(events.decode_decision, row, tuple(fields))


LAYOUTS: Final[dict[str, TopicLayout]] = {
    TRANSACTIONS: _flat_layout(events.Transaction, events.decode_transaction),
    LABELS: _flat_layout(events.Label, events.decode_label),
    TRUTH: _flat_layout(events.Truth, events.decode_truth),
    DECISIONS: _decision_layout(),
    CLOCK: _flat_layout(events.Segment, events.decode_segment),
    CONTROL: _flat_layout(events.RunControl, events.decode_control),
    DEAD_LETTERS: _flat_layout(events.DeadLetter, events.decode_dead_letter),
}
