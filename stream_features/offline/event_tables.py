"""Events as Arrow tables, as the batch engines read them; those of an archived log with their place in it."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
import pyarrow as pa

from fraudsim.log.events import Label, Transaction
from stream_features.catalogue.features import KEY_FIELD

_INT: Final = pa.int64()
COLUMNS: Final[dict[type[msgspec.Struct], pa.Schema]] = {
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


def event_table(event: type[msgspec.Struct], items: Iterable[Any]) -> pa.Table:
    """One row an event."""
    schema, every = COLUMNS[event], list(items)
    return pa.table({name: [getattr(item, name) for item in every] for name in schema.names}, schema)


def log_event_table(event: type[msgspec.Struct], items: dict[tuple[int, int], Any]) -> pa.Table:
    """Events by (partition, offset); these as `log_partition` and `log_offset`."""
    table = event_table(event, items.values())
    table = table.append_column("log_partition", pa.array([at[0] for at in items], _INT))
    return table.append_column("log_offset", pa.array([at[1] for at in items], _INT))
