"""The tables that the SQL reads: their columns, and one SELECT that unites several sources into a table."""

# ruff: noqa: S608
# The SQL is made of column names; no data of a transaction is ever written into it.

from collections.abc import Mapping, Sequence
from typing import Final

from fraudsim.errors import FraudsimError
from stream_features.catalogue.features import KEY_FIELD, PLACE_STEPS
from stream_features.encode import SOURCE_RANK
from stream_features.offline.sql.dialects import Dialect

_IDS: Final = dict.fromkeys(KEY_FIELD.values(), "STRING")
_LOG_POSITION: Final = {"log_partition": "BIGINT", "log_offset": "BIGINT"}
_TRANSACTION: Final = {
    "tx_id": "STRING", "ts": "BIGINT", "amount_cents": "BIGINT", **_IDS, "lat": "DOUBLE", "lon": "DOUBLE",
}  # fmt: skip
COLUMNS: Final[Mapping[str, Mapping[str, str]]] = {
    "transactions": _TRANSACTION | _LOG_POSITION,
    "labels": {"tx_id": "STRING", "known_at": "BIGINT", "is_fraud": "BOOLEAN", "source": "STRING"}
    | _IDS
    | _LOG_POSITION,
    "queries": _TRANSACTION | {"channel": "STRING", "mcc": "BIGINT", "country": "STRING"},
}
"""By table, the columns that it always has, and their types."""
_REQUIRED: Final = ("tx_id", "ts", "amount_cents", "card_id", "known_at", "is_fraud", "source")
"""The columns that every source must have; any other one that is absent is null."""
_RANKS: Final = " ".join(f"WHEN '{source}' THEN {rank}" for source, rank in SOURCE_RANK.items())


def table_sql(table: str, sources: Sequence[tuple[str, str, Sequence[str]]], dialect: Dialect) -> str:
    """One SELECT of all sources of a table: (view, its name in an error, its columns) each.

    `queries` keeps the further columns of its sources, as a visibility may need them.

    Raises:
        FraudsimError: a source lacks a required column.
    """
    types = COLUMNS[table]
    nulls = ", ".join(f"CAST(NULL AS {sql_type}) AS {name}" for name, sql_type in types.items())
    parts = [] if sources else [f"SELECT {nulls} WHERE FALSE"]
    for view, label, present in sources:
        missing = next((name for name in _REQUIRED if name in types and name not in present), None)
        if missing:
            raise FraudsimError(f"{table}: {label} has no column {missing}, add one or name it so")
        columns = [
            f"CAST({name if name in present else 'NULL'} AS {sql_type}) AS {name}"
            for name, sql_type in types.items()
        ]
        if table == "queries":
            columns += [name for name in present if name not in types]
        parts.append(f"SELECT {', '.join(columns)} FROM {view}")
    return f"SELECT *, {_computed_columns(table, dialect)} FROM ({' UNION ALL '.join(parts)}) AS sources"


def _computed_columns(table: str, dialect: Dialect) -> str:
    """Locations in steps, as states keep them; the rank of a label's source."""
    if table == "labels":
        return f"CASE source {_RANKS} END AS source_rank"
    steps = {
        "lat_steps": dialect.round_half_even.format(f"(lat + 90) * {PLACE_STEPS}"),
        "lon_steps": dialect.round_half_even.format(f"(lon + 180) * {PLACE_STEPS}"),
    }
    present = "CASE WHEN lat IS NOT NULL AND lon IS NOT NULL THEN"
    return ", ".join(f"{present} CAST({sql} AS BIGINT) END AS {name}" for name, sql in steps.items())
