"""Kafka records as rows of the archive."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from fraudsim.archive.layout import HEADERS_TYPE, LAYOUTS, TopicLayout
from fraudsim.log.acceptance import HEADERS_REJECTED, Rejected, read_event
from fraudsim.log.headers import UNREADABLE_HEADERS, header

_CONVERSION_ERRORS: Final = (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError)


@dataclass(frozen=True, slots=True)
class Record:
    """A record as Kafka has it."""

    partition: int
    offset: int
    broker_ts_ms: int
    key: bytes | None
    headers: Sequence[tuple[str, bytes]]
    value: bytes | None


def to_table(topic: str, records: Sequence[Record]) -> pa.Table:
    """Records of one topic as a table in the topic's layout.

    A record whose value cannot be decoded has its bytes in `raw` and the reason in `error`. So has a record
    whose headers cannot be read; if its value can be decoded, the event's columns are filled as well.
    """
    layout = LAYOUTS[topic]
    nulls = (None,) * len(layout.fields)
    rows: list[tuple[Any, ...]] = []
    errors: list[str | None] = []
    for record in records:
        event = read_event(record.value, layout.decode, record.headers)
        if isinstance(event, Rejected):
            rows.append(nulls)
            errors.append(_error_text(event))
        else:
            rows.append(layout.row(event))
            unreadable = header(record.headers, UNREADABLE_HEADERS) is not None
            errors.append(_error_text(HEADERS_REJECTED) if unreadable else None)
    event_columns = _event_columns(layout, rows, errors)
    raw = [None if error is None else r.value for r, error in zip(records, errors, strict=True)]
    record_columns = [
        pa.array([topic] * len(records), pa.string()),
        pa.array([r.partition for r in records], pa.int32()),
        pa.array([r.offset for r in records], pa.int64()),
        pa.array([r.broker_ts_ms for r in records], pa.int64()),
        pa.array([_key_text(r.key) for r in records], pa.string()),
        pa.array([[{"name": n, "value": v} for n, v in r.headers] for r in records], HEADERS_TYPE),
        pa.array(errors, pa.string()),
        pa.array(raw, pa.binary()),
    ]
    return pa.Table.from_arrays([*record_columns, *event_columns], schema=layout.schema)


def _error_text(rejected: Rejected) -> str:
    return f"{rejected.field}: {rejected.reason}"


def _key_text(key: bytes | None) -> str | None:
    return None if key is None else key.decode("utf-8", "backslashreplace")


def _event_columns(
    layout: TopicLayout, rows: list[tuple[Any, ...]], errors: list[str | None]
) -> list[pa.Array]:
    """The columns of the decoded rows.

    A row with a value that no column can hold (an integer past int64) is emptied in `rows`, and the reason
    goes into `errors`.
    """
    try:
        return _arrow_columns(layout, rows)
    except _CONVERSION_ERRORS:
        nulls = (None,) * len(layout.fields)
        for i, row in enumerate(rows):
            try:
                _arrow_columns(layout, [row])
            except _CONVERSION_ERRORS as error:
                rows[i] = nulls
                errors[i] = f"value: no column can hold it: {' '.join(str(error).split())[:200]}"
        return _arrow_columns(layout, rows)


def _arrow_columns(layout: TopicLayout, rows: list[tuple[Any, ...]]) -> list[pa.Array]:
    columns = zip(*rows, strict=True)
    return [pa.array(values, field.type) for values, field in zip(columns, layout.fields, strict=True)]
