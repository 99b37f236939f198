"""The DuckDB engine: features over Parquet files or Arrow tables, in this process.

It shares the catalogue's definitions with the kernels, but neither code nor state: so what both compute is
likely right. Without state, it joins every query to the events anew.
"""

from collections.abc import Sequence
from glob import glob
from pathlib import Path
from types import TracebackType
from typing import Final, TypeAlias

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fraudsim.archive.id_columns import sql_spellings
from fraudsim.arrays import Doubles
from fraudsim.errors import FraudsimError
from stream_features.catalogue.features import FEATURES, Feature
from stream_features.encode import id_hash
from stream_features.offline.sql.dialects import DUCKDB
from stream_features.offline.sql.statement import StateBounds, feature_sql
from stream_features.offline.sql.tables import table_sql
from stream_features.offline.sql.visibility import AsOf, Visibility

Source: TypeAlias = pa.Table | Path
"""An Arrow table, or Parquet: a file, or a pattern of files."""
BLOCK: Final = 1_000
"""Queries in one statement: at a hot merchant each is joined to some 100,000 events."""


class DuckDBEngine:
    """Transactions and labels in DuckDB's memory, for any number of feature queries. Closes as a context.

    Several sources of a kind are united: a history, and a log whose rows have their log position
    (`log_partition`, `log_offset`). All events must be accepted ones.

    Raises:
        FraudsimError: a file cannot be read, or a source lacks a required column.
    """

    def __init__(
        self, transactions: Sequence[Source], labels: Sequence[Source] = (), *, threads: int | None = None
    ) -> None:
        self._db = duckdb.connect(config={} if threads is None else {"threads": threads})
        self._db.create_function("id_hash", id_hash, ["VARCHAR"], "BIGINT")
        self._create_table("transactions", transactions)
        self._create_table("labels", labels)

    def __enter__(self) -> "DuckDBEngine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    def features(
        self,
        queries: pa.Table,
        visibility: Visibility | None = None,
        *,
        features: Sequence[Feature] = FEATURES,
        bounds: StateBounds | None = None,
    ) -> Doubles:
        """Features of the query transactions, each at its own ts, shape (n, features), in their order.

        The queries need not be among the engine's transactions. By default a query sees all before its
        ts, and the labels known by then. NaN where a feature is unknown.

        Raises:
            FraudsimError: `queries` lacks a required column.
        """
        numbered = queries.append_column("query_id", pa.array(np.arange(queries.num_rows)))
        sql = feature_sql(visibility or AsOf(), features, bounds)
        out = np.empty((queries.num_rows, len(features)))
        for start in range(0, queries.num_rows, BLOCK):
            block = numbered.slice(start, BLOCK)
            self._create_table("queries", [block])
            columns = self._db.execute(sql).fetchnumpy()
            for index, feature in enumerate(features):
                column = columns[feature.name].astype(np.float64)
                out[start : start + BLOCK, index] = np.ma.filled(column, np.nan)
        return out

    def _create_table(self, table: str, sources: Sequence[Source]) -> None:
        views = [f"{table}_{number}" for number in range(len(sources))]
        described = [
            (view, _label(source), self._create_view(table, view, source))
            for view, source in zip(views, sources, strict=True)
        ]
        self._db.execute(f"CREATE OR REPLACE TABLE {table} AS {table_sql(table, described, DUCKDB)}")
        for view in views:
            self._db.execute(f"DROP VIEW {view}")

    def _create_view(self, table: str, view: str, source: Source) -> list[str]:
        """Create a view of a source; returns its columns."""
        try:
            if isinstance(source, Path):
                rows = self._db.from_parquet(str(source))
                first = min(glob(str(source), recursive=True))
                spellings = sql_spellings(pq.read_schema(first))
                if spellings:
                    rows = rows.project(f"* REPLACE ({', '.join(spellings)})")
                rows.create_view(view)
            else:
                self._db.register(view, source)
            return list(self._db.sql(f"FROM {view}").columns)
        except duckdb.Error as error:
            reason = str(error).splitlines()[0]
            raise FraudsimError(f"{table}: {source} cannot be read ({reason}), give a Parquet file") from None


def _label(source: Source) -> str:
    return str(source) if isinstance(source, Path) else "the Arrow table"
