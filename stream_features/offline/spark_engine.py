"""The Spark engine, for data that outgrows one machine: the same SQL as DuckDB's, over Parquet.

Needs the extra `spark` (`make setup-spark`) and a Java that Spark can run on (`spark_java`).
"""

# ruff: noqa: S608
# The SQL is made of the catalogue's own words; no data of a transaction is ever written into it.

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession

from fraudsim.errors import FraudsimError
from stream_features.catalogue.features import FEATURES, Feature
from stream_features.encode import id_hash
from stream_features.offline.spark_java import spark_java
from stream_features.offline.sql.dialects import SPARK
from stream_features.offline.sql.statement import StateBounds, feature_sql
from stream_features.offline.sql.tables import table_sql
from stream_features.offline.sql.visibility import AsOf, Visibility


def local_session(config: Mapping[str, str] | None = None) -> SparkSession:
    """A session on this machine's cores, reachable from it alone.

    Raises:
        FraudsimError: no Java here can run Spark.
    """
    spark_java()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.master("local[*]").appName("fraudsim features")
    defaults = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        # No other machine could take over when this one was busy or asleep.
        "spark.network.timeout": "3600s",
        "spark.executor.heartbeatInterval": "60s",
    }
    for name, value in (defaults | dict(config or {})).items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


class SparkEngine:
    """Parquet files of transactions and labels, for any number of feature queries.

    Several sources of a kind are united: a history, and a log whose rows have their log position
    (`log_partition`, `log_offset`). All events must be accepted ones. A session of a cluster needs this
    package on its workers, for the hash of an id. Closes as a context; the session stays open.

    Raises:
        FraudsimError: a file cannot be read, or a source lacks a required column.
    """

    def __init__(
        self, spark: SparkSession, transactions: Sequence[Path], labels: Sequence[Path] = ()
    ) -> None:
        self._spark = spark.newSession()  # views and settings of its own
        # A sum that overflows its type ends the job instead of giving a wrong number.
        self._spark.conf.set("spark.sql.ansi.enabled", "true")
        self._spark.udf.register("id_hash", _nullable_id_hash, "bigint")
        self._persisted: list[DataFrame] = []
        self._create_table("transactions", transactions)
        self._create_table("labels", labels)

    def __enter__(self) -> "SparkEngine":
        return self

    def __exit__(self, *_: object) -> None:
        for frame in self._persisted:
            frame.unpersist()

    def features(
        self,
        queries: Path,
        visibility: Visibility | None = None,
        *,
        features: Sequence[Feature] = FEATURES,
        bounds: StateBounds | None = None,
    ) -> DataFrame:
        """`query_id`, `tx_id`, `ts` and the features of the query transactions, each at its own ts; lazily.

        The queries need not be among the engine's transactions. `query_id` ascends in the files' order. Null
        where a feature is unknown.

        Raises:
            FraudsimError: the file cannot be read, or lacks a required column.
        """
        self._create_table("queries", [queries], "monotonically_increasing_id() AS query_id")
        return self._spark.sql(feature_sql(visibility or AsOf(), features, bounds, SPARK))

    def _create_table(self, table: str, sources: Sequence[Path], extra_column: str = "") -> None:
        """Create a view of all sources.

        It is persisted, as it is read some twenty times and the numbers of its rows must not change.
        """
        described = []
        for number, source in enumerate(sources):
            try:
                frame = self._spark.read.parquet(str(source))
            except AnalysisException as error:
                reason = str(error).splitlines()[0]
                raise FraudsimError(
                    f"{table}: {source} cannot be read ({reason}), give a Parquet file"
                ) from None
            frame.createOrReplaceTempView(f"{table}_{number}")
            described.append((f"{table}_{number}", str(source), frame.columns))
        sql = table_sql(table, described, SPARK)
        frame = self._spark.sql(f"SELECT *, {extra_column} FROM ({sql})" if extra_column else sql).persist()
        frame.createOrReplaceTempView(table)
        self._persisted.append(frame)


def _nullable_id_hash(text: str | None) -> int | None:
    return None if text is None else id_hash(text)
