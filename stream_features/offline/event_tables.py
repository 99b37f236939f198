"""Events as Arrow tables, as the SQL engines read them; those of an archived log with their log position."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
import pyarrow as pa

from fraudsim.log.events import Label, Transaction
from stream_features.catalogue.features import KEY_FIELD

_INT: Final = pa.int64()
SCHEMAS: Final[dict[type[msgspec.Struct], pa.Schema]] = {
    Transaction: pa.schema(
        [
            ("tx_id", pa.string()),
            ("ts", _INT),
            ("amount_cents", _INT),
            *((name, pa.string()) for name in KEY_FIELD.values()),
            ("lat", pa.float64()),
            ("lon", pa.float64()),
            ("mcc", _INT),
            ("channel", pa.string()),
            ("country", pa.string()),
        ]
    ),
    Label: pa.schema(
        [
            ("tx_id", pa.string()),
            ("card_id", pa.string()),
            ("merchant_id", pa.string()),
            ("known_at", _INT),
            ("is_fraud", pa.bool_()),
            ("source", pa.string()),
        ]
    ),
}


def event_table(event_type: type[msgspec.Struct], events: Iterable[Any]) -> pa.Table:
    """One row an event."""
    schema, rows = SCHEMAS[event_type], list(events)
    return pa.table({name: [getattr(row, name) for row in rows] for name in schema.names}, schema)


def log_event_table(event_type: type[msgspec.Struct], events: dict[tuple[int, int], Any]) -> pa.Table:
    """Events by (partition, offset); the table has these as `log_partition` and `log_offset`."""
    table = event_table(event_type, events.values())
    table = table.append_column("log_partition", pa.array([partition for partition, _ in events], _INT))
    return table.append_column("log_offset", pa.array([offset for _, offset in events], _INT))
