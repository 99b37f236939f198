"""Spark agrees with kernels, DuckDB and brute force on any log: all generated streams at once."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

from stream_features.catalogue.features import NAMES
from stream_features.offline.duckdb_engine import DuckDBEngine
from stream_features.offline.sql.statement import StateBounds
from stream_features.offline.sql.visibility import AsOf, WithinPrefix
from testing.contracts.engines import assert_agree, reference_features
from testing.contracts.random_logs import HORIZON, event_logs
from tests.stream_features.offline.spark_mark import needs_spark

STREAMS = 150


pytestmark = needs_spark


@pytest.fixture(scope="module")
def spark():
    from stream_features.offline.spark_engine import local_session

    session = local_session({"spark.sql.shuffle.partitions": "2", "spark.driver.memory": "2g"})
    yield session
    session.stop()


def generated(number):
    """So many streams, no two with a key or an id in common: of each name's few the longest."""
    return [max(some(f"s{n}"), key=lambda stream: len(stream.transactions)) for n in range(number)]


def some(name):
    """A few streams. What they hold depends on their name, so that each name is a strategy of its own."""
    generated_streams = []

    @settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=8, database=None)
    @given(event_logs(name))
    def generate(stream):
        generated_streams.append(stream)

    generate()
    return generated_streams


def by_spark(frame, folder):
    """A frame's features, shape (n, features), in the order asked for."""
    frame.write.parquet(str(folder))
    table = pq.read_table(folder).sort_by("query_id")
    return np.column_stack([table[name].to_numpy().astype(np.float64) for name in NAMES])


@pytest.mark.long
@pytest.mark.parametrize(
    "bounds", [StateBounds(), StateBounds(distinct=2, rows=3, labels=2)], ids=["usual", "small"]
)
def test_spark_agrees_with_all_engines_on_many_logs_at_once(bounds, spark, tmp_path):
    from stream_features.offline.spark_engine import SparkEngine

    generated_streams = generated(STREAMS)
    transactions, labels, queries, as_of, within = reference_features(
        generated_streams, bounds, len(generated_streams)
    )
    for name, table in (("transactions", transactions), ("labels", labels), ("queries", queries)):
        pq.write_table(table, tmp_path / f"{name}.parquet")
    with DuckDBEngine([transactions], [labels]) as duckdb:
        assert_agree(duckdb.features(transactions, bounds=bounds), as_of)
    with SparkEngine(spark, [tmp_path / "transactions.parquet"], [tmp_path / "labels.parquet"]) as engine:
        for name, visibility, expected in (
            ("as_of", AsOf(), as_of),
            ("within", WithinPrefix(HORIZON), within),
        ):
            frame = engine.features(tmp_path / "queries.parquet", visibility, bounds=bounds)
            assert_agree(by_spark(frame, tmp_path / name), expected)
