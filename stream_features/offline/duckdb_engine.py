"""The embedded batch engine: features by DuckDB over Parquet files or Arrow tables.

It shares the catalogue's definitions with the kernels, and neither code nor state: so what both say is
likely right. It has no state to go on from; each question is joined to the events anew.
"""

from collections.abc import Sequence
from glob import glob
from pathlib import Path
from types import TracebackType
from typing import Final, TypeAlias

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from fraudsim.archive.id_columns import sql_spellings
from fraudsim.errors import FraudsimError
from stream_features.catalogue.features import FEATURES, Feature
from stream_features.encode import id_hash
from stream_features.offline.sql.statement import StateBounds, feature_sql
from stream_features.offline.sql.dialects import DUCKDB
from stream_features.offline.sql.tables import table_sql
from stream_features.offline.sql.visibility import AsOf, Visibility

Source: TypeAlias = pa.Table | Path
"""An Arrow table, or Parquet: a file, or a pattern of files."""
Matrix = npt.NDArray[np.float64]
BLOCK: Final = 1_000
"""Transactions in one statement: at a hot merchant each is joined to some 100,000 events."""


class DuckDBEngine:
    """Transactions and labels in DuckDB's memory, to be asked for features as often as needed.

    Several sources of a kind are taken together: a history, and a log whose rows have their place in it
    (`log_partition`, `log_offset`). What counts must have been decided before. Closes as a context.

    Raises:
        FraudsimError: a file cannot be read, or a source lacks a column that every one must have.
    """

    def __init__(
        self, transactions: Sequence[Source], labels: Sequence[Source] = (), *, threads: int | None = None
    ) -> None:
        self._db = duckdb.connect(config={} if threads is None else {"threads": threads})
        self._db.create_function("id_hash", id_hash, ["VARCHAR"], "BIGINT")
        self._make("transactions", transactions)
        self._make("labels", labels)

    def __enter__(self) -> "DuckDBEngine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    def features(
        self,
        asked: pa.Table,
        reading: Visibility | None = None,
        *,
        features: Sequence[Feature] = FEATURES,
        bounds: StateBounds | None = None,
    ) -> Matrix:
        """Features of the transactions asked for, each at its own ts, shape (n, features), in their order.

        They need not be among those of the engine. `reading` says what each may see: by default all before
        its ts, labels known by then. NaN where a feature is unknown.

        Raises:
            FraudsimError: a column is not there.
        """
        numbered = asked.append_column("ask", pa.array(np.arange(asked.num_rows)))
        sql = feature_sql(reading or AsOf(), features, bounds)
        out = np.empty((asked.num_rows, len(features)))
        for start in range(0, asked.num_rows, BLOCK):
            block = numbered.slice(start, BLOCK)
            self._make("asked", [block])
            found = self._db.execute(sql).fetchnumpy()
            for place, feature in enumerate(features):
                column = found[feature.name].astype(np.float64)
                out[start : start + BLOCK, place] = np.ma.filled(column, np.nan)
        return out

    def _make(self, table: str, sources: Sequence[Source]) -> None:
        """A table of all sources."""
        views = [f"{table}_{number}" for number in range(len(sources))]
        given = [
            (view, _called(source), self._view(table, view, source))
            for view, source in zip(views, sources, strict=True)
        ]
        self._db.execute(f"CREATE OR REPLACE TABLE {table} AS {table_sql(table, given, DUCKDB)}")
        for view in views:
            self._db.execute(f"DROP VIEW {view}")

    def _view(self, table: str, view: str, source: Source) -> list[str]:
        """A source under a name; its columns."""
        try:
            if isinstance(source, Path):
                rows = self._db.from_parquet(str(source))
                first = min(glob(str(source), recursive=True))
                texts = sql_spellings(pq.read_schema(first))
                (rows.project(f"* REPLACE ({', '.join(texts)})") if texts else rows).create_view(view)
            else:
                self._db.register(view, source)
            return list(self._db.sql(f"FROM {view}").columns)
        except duckdb.Error as error:
            reason = str(error).splitlines()[0]
            raise FraudsimError(f"{table}: {source} cannot be read ({reason}), give a Parquet file") from None


def _called(source: Source) -> str:
    return str(source) if isinstance(source, Path) else "the Arrow table"
