"""Features of a history, or of a run's archived log, by one of the offline engines, into Parquet.

Each transaction's at its own time: from what bears an earlier one, and the labels known by then. The same
whatever the engine; null where a feature is unknown.
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

from fraudsim.archive.archive import log_folder
from fraudsim.archive.id_columns import spelled, sql_spellings
from fraudsim.errors import FraudsimError
from fraudsim.log.events import Label, Transaction
from stream_features.catalogue.features import NAMES
from stream_features.offline.archived_log import archived_clock, accepted_labels, accepted_transactions
from stream_features.offline.event_tables import COLUMNS, event_table
from stream_features.offline.bulk import Matrix, bulk_features
from stream_features.offline.history_tables import history_files
from stream_features.offline.sql.visibility import AsOf


@dataclass(frozen=True)
class Events:
    """Parquet files of all that may be seen, and of the transactions asked for: the last of them."""

    transactions: list[Path]
    labels: list[Path]
    asked: Path


def compute(engine: str, source: Path, out: Path, lag_ms: int = 0) -> int:
    """Write `tx_id`, `ts` and every feature of the source's transactions into the folder `out`.

    Args:
        engine: one of `ENGINES`.
        source: a history's folder; or a run's, whose log is asked for and whose history is seen too.
        out: a folder that is not there yet.
        lag_ms: leaves out what became known less than that long before each transaction.

    Returns:
        how many transactions.

    Raises:
        FraudsimError: no such engine, `out` exists, the source is neither, or Spark cannot run here.
    """
    if engine not in ENGINES:
        raise FraudsimError(f"--engine {engine} is not known, take one of {', '.join(ENGINES)}")
    if out.exists():
        raise FraudsimError(f"--out {out} exists, name a folder that does not")
    with tempfile.TemporaryDirectory(prefix="fraudsim-compute-") as scratch:
        events = _events_of(source, Path(scratch))
        ENGINES[engine](events, out, lag_ms)
    return sum(pq.read_metadata(path).num_rows for path in out.glob("*.parquet"))


def _events_of(source: Path, scratch: Path) -> Events:
    if not log_folder(source).exists():
        transactions, labels = (_in_words(path, scratch) for path in history_files(source))
        return Events([transactions], [labels], transactions)
    clock = archived_clock(source)
    past, past_labels = (_in_words(path, scratch) for path in history_files(source / "history"))
    known = pq.read_table(past_labels, filters=pc.field("known_at") < clock.first.event_epoch_ms)
    counting = {
        "log": event_table(Transaction, (tx for _, tx in accepted_transactions(source, clock))),
        "log_labels": event_table(Label, (label for _, label in accepted_labels(source, clock))),
        "past_labels": known,
    }
    for name, table in counting.items():
        pq.write_table(table, scratch / f"{name}.parquet")
    at = {name: scratch / f"{name}.parquet" for name in counting}
    return Events(
        [past, at["log"]],
        [at["past_labels"], at["log_labels"]],
        at["log"],
    )


def _in_words(path: Path, scratch: Path) -> Path:
    """The file, or a copy in which ids that it holds as numbers are texts, as engines compare them."""
    if not sql_spellings(pq.read_schema(path)):
        return path
    copy = scratch / f"history-{path.name}"
    pq.write_table(spelled(pq.read_table(path)), copy)
    return copy


def _by_kernel(events: Events, out: Path, lag_ms: int) -> None:
    transactions = _one_table(events.transactions, COLUMNS[Transaction])
    labels = _one_table(events.labels, COLUMNS[Label])
    asked = pq.read_metadata(events.asked).num_rows
    values = bulk_features(transactions, labels, lag_ms, np.float64)
    first = transactions.num_rows - asked
    _write(transactions.slice(first), values[first:], out)


def _by_duckdb(events: Events, out: Path, lag_ms: int) -> None:
    from stream_features.offline.duckdb_engine import DuckDBEngine

    asked = _one_table([events.asked], COLUMNS[Transaction])
    with DuckDBEngine(events.transactions, events.labels) as engine:
        _write(asked, engine.features(asked, AsOf(lag_ms)), out)


def _by_spark(events: Events, out: Path, lag_ms: int) -> None:
    try:
        from stream_features.offline.spark_engine import SparkEngine, local_session
    except ImportError:
        raise FraudsimError("--engine spark needs PySpark: make setup-spark") from None

    session = local_session()
    try:
        with SparkEngine(session, events.transactions, events.labels) as engine:
            engine.features(events.asked, AsOf(lag_ms)).drop("ask").write.parquet(str(out))
    finally:
        session.stop()


ENGINES: Final[dict[str, Callable[[Events, Path, int], None]]] = {
    "kernel": _by_kernel,
    "duckdb": _by_duckdb,
    "spark": _by_spark,
}


def _one_table(paths: list[Path], schema: pa.Schema) -> pa.Table:
    """Files below each other; what one lacks is null there."""
    parts = []
    for path in paths:
        table = pq.read_table(path, columns=[name for name in schema.names if name in _names(path)])
        for field in schema:
            if field.name not in table.column_names:
                table = table.append_column(field, pa.nulls(table.num_rows, field.type))
        parts.append(table.select(schema.names).cast(schema))
    return pa.concat_tables(parts)


def _names(path: Path) -> list[str]:
    return list(pq.read_schema(path).names)


def _write(asked: pa.Table, values: Matrix, out: Path) -> None:
    columns = {"tx_id": asked["tx_id"], "ts": asked["ts"]}
    for place, name in enumerate(NAMES):
        columns[name] = pa.array(values[:, place], mask=np.isnan(values[:, place]))
    out.mkdir(parents=True)
    pq.write_table(pa.table(columns), out / "part-00000.parquet")
