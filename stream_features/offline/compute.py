"""`features compute`: features of a history, or of a run's archived log, by an offline engine, into Parquet.

Each transaction's features are as of its own time: from earlier events, and the labels known by then. All
engines give the same; unknown features are null.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fraudsim.archive.id_columns import spelled, sql_spellings
from fraudsim.archive.log_files import log_folder
from fraudsim.errors import FraudsimError
from fraudsim.log.events import Label, Transaction
from stream_features.catalogue.features import NAMES
from stream_features.offline.archived_log import accepted_labels, accepted_transactions, archived_clock
from stream_features.offline.bulk import Matrix, bulk_features
from stream_features.offline.event_tables import SCHEMAS, event_table
from stream_features.offline.history_tables import history_files
from stream_features.offline.sql.visibility import AsOf


@dataclass(frozen=True)
class EventFiles:
    """Parquet files of all visible events, and of the query transactions, which are the last of these."""

    transactions: list[Path]
    labels: list[Path]
    queries: Path


def compute(engine: str, source: Path, out: Path, lag_ms: int = 0) -> int:
    """Write `tx_id`, `ts` and every feature of the source's transactions into the folder `out`.

    Args:
        engine: one of `ENGINES`.
        source: a history folder; or a run folder, whose log has the queries and whose history is visible too.
        out: a folder that does not exist yet.
        lag_ms: what became known less than that long before each transaction is not visible.

    Returns:
        the number of transactions.

    Raises:
        FraudsimError: the engine is unknown, `out` exists, `source` is neither kind of folder, or Spark
            cannot run on this machine.
    """
    if engine not in ENGINES:
        raise FraudsimError(f"--engine {engine} is not known, take one of {', '.join(ENGINES)}")
    if out.exists():
        raise FraudsimError(f"--out {out} exists, name a folder that does not")
    with tempfile.TemporaryDirectory(prefix="fraudsim-compute-") as scratch:
        files = _event_files(source, Path(scratch))
        ENGINES[engine](files, out, lag_ms)
    return sum(pq.read_metadata(path).num_rows for path in out.glob("*.parquet"))


def _event_files(source: Path, scratch: Path) -> EventFiles:
    if not log_folder(source).exists():
        transactions, labels = (_with_text_ids(path, scratch) for path in history_files(source))
        return EventFiles([transactions], [labels], transactions)
    clock = archived_clock(source)
    past, past_labels = (_with_text_ids(path, scratch) for path in history_files(source / "history"))
    labels_at_start = pq.read_table(past_labels, filters=pc.field("known_at") < clock.first.event_epoch_ms)
    tables = {
        "log": event_table(Transaction, (tx for _, tx in accepted_transactions(source, clock))),
        "log_labels": event_table(Label, (label for _, label in accepted_labels(source, clock))),
        "past_labels": labels_at_start,
    }
    paths = {name: scratch / f"{name}.parquet" for name in tables}
    for name, table in tables.items():
        pq.write_table(table, paths[name])
    return EventFiles(
        [past, paths["log"]],
        [paths["past_labels"], paths["log_labels"]],
        paths["log"],
    )


def _with_text_ids(path: Path, scratch: Path) -> Path:
    """The file, or a copy in which numeric ids are texts, as the engines compare ids."""
    if not sql_spellings(pq.read_schema(path)):
        return path
    copy = scratch / f"history-{path.name}"
    pq.write_table(spelled(pq.read_table(path)), copy)
    return copy


def _write_by_kernel(files: EventFiles, out: Path, lag_ms: int) -> None:
    transactions = _concat_files(files.transactions, SCHEMAS[Transaction])
    labels = _concat_files(files.labels, SCHEMAS[Label])
    query_count = pq.read_metadata(files.queries).num_rows
    values = bulk_features(transactions, labels, lag_ms, np.float64)
    first = transactions.num_rows - query_count
    _write(transactions.slice(first), values[first:], out)


def _write_by_duckdb(files: EventFiles, out: Path, lag_ms: int) -> None:
    from stream_features.offline.duckdb_engine import DuckDBEngine

    queries = _concat_files([files.queries], SCHEMAS[Transaction])
    with DuckDBEngine(files.transactions, files.labels) as engine:
        _write(queries, engine.features(queries, AsOf(lag_ms)), out)


def _write_by_spark(files: EventFiles, out: Path, lag_ms: int) -> None:
    try:
        from stream_features.offline.spark_engine import SparkEngine, local_session
    except ImportError:
        raise FraudsimError("--engine spark needs PySpark: make setup-spark") from None

    session = local_session()
    try:
        with SparkEngine(session, files.transactions, files.labels) as engine:
            engine.features(files.queries, AsOf(lag_ms)).drop("query_id").write.parquet(str(out))
    finally:
        session.stop()


ENGINES: Final[dict[str, Callable[[EventFiles, Path, int], None]]] = {
    "kernel": _write_by_kernel,
    "duckdb": _write_by_duckdb,
    "spark": _write_by_spark,
}


def _concat_files(paths: list[Path], schema: pa.Schema) -> pa.Table:
    """The files' rows, one file after the other; columns that a file lacks are null."""
    parts = []
    for path in paths:
        table = pq.read_table(path, columns=[name for name in schema.names if name in _column_names(path)])
        for field in schema:
            if field.name not in table.column_names:
                table = table.append_column(field, pa.nulls(table.num_rows, field.type))
        parts.append(table.select(schema.names).cast(schema))
    return pa.concat_tables(parts)


def _column_names(path: Path) -> list[str]:
    return list(pq.read_schema(path).names)


def _write(queries: pa.Table, values: Matrix, out: Path) -> None:
    columns = {"tx_id": queries["tx_id"], "ts": queries["ts"]}
    for name, feature_values in zip(NAMES, values.T, strict=True):
        columns[name] = pa.array(feature_values, mask=np.isnan(feature_values))
    out.mkdir(parents=True)
    pq.write_table(pa.table(columns), out / "part-00000.parquet")
