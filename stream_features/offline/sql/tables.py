"""The tables that the batch engines' SQL reads: their columns, and how several sources become one table."""

# ruff: noqa: S608
# The SQL is made of column names; nothing of a transaction is ever written into it.

from collections.abc import Mapping, Sequence
from typing import Final

from fraudsim.errors import FraudsimError
from stream_features.catalogue.features import KEY_FIELD, PLACE_STEPS
from stream_features.encode import SOURCE_RANK
from stream_features.offline.sql.dialects import Dialect

_IDS: Final = dict.fromkeys(KEY_FIELD.values(), "STRING")
_PLACE_IN_LOG: Final = {"log_partition": "BIGINT", "log_offset": "BIGINT"}
_TRANSACTION: Final = {
    "tx_id": "STRING", "ts": "BIGINT", "amount_cents": "BIGINT", **_IDS, "lat": "DOUBLE", "lon": "DOUBLE",
}  # fmt: skip
COLUMNS: Final[Mapping[str, Mapping[str, str]]] = {
    "transactions": _TRANSACTION | _PLACE_IN_LOG,
    "labels": {"tx_id": "STRING", "known_at": "BIGINT", "is_fraud": "BOOLEAN", "source": "STRING"}
    | _IDS
    | _PLACE_IN_LOG,
    "asked": _TRANSACTION | {"channel": "STRING", "mcc": "BIGINT", "country": "STRING"},
}
"""By table, the columns that it always has, and their types."""
_NEEDED: Final = ("tx_id", "ts", "amount_cents", "card_id", "known_at", "is_fraud", "source")
"""The columns that every source must have; another's absence is a null."""
_RANKS: Final = " ".join(f"WHEN '{source}' THEN {rank}" for source, rank in SOURCE_RANK.items())


def table_sql(table: str, sources: Sequence[tuple[str, str, Sequence[str]]], dialect: Dialect) -> str:
    """One SELECT of all sources of a table: (view, what to call it in an error, its columns) each.

    `asked` keeps what else its sources have, as a reading may need it.

    Raises:
        FraudsimError: a source lacks a column that every one must have.
    """
    types = COLUMNS[table]
    empty = ", ".join(f"CAST(NULL AS {kind}) AS {name}" for name, kind in types.items())
    parts = [] if sources else [f"SELECT {empty} WHERE FALSE"]
    for view, called, present in sources:
        lacking = next((name for name in _NEEDED if name in types and name not in present), None)
        if lacking:
            raise FraudsimError(f"{table}: {called} has no column {lacking}, add one or name it so")
        columns = [
            f"CAST({name if name in present else 'NULL'} AS {kind}) AS {name}" for name, kind in types.items()
        ]
        if table == "asked":
            columns += [name for name in present if name not in types]
        parts.append(f"SELECT {', '.join(columns)} FROM {view}")
    return f"SELECT *, {_computed(table, dialect)} FROM ({' UNION ALL '.join(parts)}) AS given"


def _computed(table: str, dialect: Dialect) -> str:
    """Places in steps, as states keep them; the rank of a label's source."""
    if table == "labels":
        return f"CASE source {_RANKS} END AS source_rank"
    steps = {
        "lat_steps": dialect.to_even.format(f"(lat + 90) * {PLACE_STEPS}"),
        "lon_steps": dialect.to_even.format(f"(lon + 180) * {PLACE_STEPS}"),
    }
    known = "CASE WHEN lat IS NOT NULL AND lon IS NOT NULL THEN"
    return ", ".join(f"{known} CAST({sql} AS BIGINT) END AS {name}" for name, sql in steps.items())
