"""The batch engine for what outgrows one machine: the same SQL as DuckDB's, run by Spark over Parquet.

Needs the extra `spark` (`make setup-spark`) and a Java that Spark can run on (`spark_java`).
"""

# ruff: noqa: S608
# The SQL is made of the catalogue's own words; nothing of a transaction is ever written into it.

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
from stream_features.offline.sql.statement import StateBounds, feature_sql
from stream_features.offline.sql.dialects import SPARK
from stream_features.offline.sql.tables import table_sql
from stream_features.offline.sql.visibility import AsOf, Visibility


def local_session(config: Mapping[str, str] | None = None) -> SparkSession:
    """A session on this machine's cores, reachable from it alone.

    Raises:
        FraudsimError: there is no Java that can run Spark.
    """
    spark_java()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.master("local[*]").appName("fraudsim features")
    fixed = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        # Nobody else is there to take over from a machine that was busy or asleep.
        "spark.network.timeout": "3600s",
        "spark.executor.heartbeatInterval": "60s",
    }
    for name, value in (fixed | dict(config or {})).items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


class SparkEngine:
    """Parquet files of transactions and labels, to be asked for features as often as needed.

    Several sources of a kind are taken together: a history, and a log whose rows have their place in it
    (`log_partition`, `log_offset`). What counts must have been decided before. A session of a cluster needs
    this package on its workers, for the hash of an id. Closes as a context; the session stays.

    Raises:
        FraudsimError: a file cannot be read, or a source lacks a column that every one must have.
    """

    def __init__(
        self, spark: SparkSession, transactions: Sequence[Path], labels: Sequence[Path] = ()
    ) -> None:
        self._spark = spark.newSession()  # views and settings of its own
        # A sum that does not fit its type ends the job: never a wrong number.
        self._spark.conf.set("spark.sql.ansi.enabled", "true")
        self._spark.udf.register("id_hash", _hash_of_present, "bigint")
        self._kept: list[DataFrame] = []
        self._make("transactions", transactions)
        self._make("labels", labels)

    def __enter__(self) -> "SparkEngine":
        return self

    def __exit__(self, *_: object) -> None:
        for frame in self._kept:
            frame.unpersist()

    def features(
        self,
        asked: Path,
        reading: Visibility | None = None,
        *,
        features: Sequence[Feature] = FEATURES,
        bounds: StateBounds | None = None,
    ) -> DataFrame:
        """`ask`, `tx_id`, `ts` and the features of the transactions asked for, each at its own ts; lazily.

        They need not be among those of the engine. In the files' order, numbered by `ask`, ascending. Null
        where a feature is unknown.

        Raises:
            FraudsimError: the file cannot be read, or lacks a column.
        """
        self._make("asked", [asked], "monotonically_increasing_id() AS ask")
        return self._spark.sql(feature_sql(reading or AsOf(), features, bounds, SPARK))

    def _make(self, table: str, sources: Sequence[Path], more: str = "") -> None:
        """A view of all sources; kept, as it is read some twenty times and its numbers must not change."""
        given = []
        for number, source in enumerate(sources):
            try:
                frame = self._spark.read.parquet(str(source))
            except AnalysisException as error:
                reason = str(error).splitlines()[0]
                raise FraudsimError(
                    f"{table}: {source} cannot be read ({reason}), give a Parquet file"
                ) from None
            frame.createOrReplaceTempView(f"{table}_{number}")
            given.append((f"{table}_{number}", str(source), frame.columns))
        sql = table_sql(table, given, SPARK)
        made = self._spark.sql(f"SELECT *, {more} FROM ({sql})" if more else sql).persist()
        made.createOrReplaceTempView(table)
        self._kept.append(made)


def _hash_of_present(text: str | None) -> int | None:
    return None if text is None else id_hash(text)
