"""Spark says the same as kernels, DuckDB and brute force of any log: all generated streams at once."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

from stream_features.catalogue.features import NAMES
from stream_features.offline.duckdb_engine import BatchEngine
from stream_features.offline.sql import Bounds
from stream_features.offline.sql_visibility import AsOf, WithinPrefix
from testing.contracts.engines import assert_agree, reference_features
from testing.contracts.random_logs import HORIZON, event_logs
from tests.stream_features.offline.spark_here import needs_spark

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
    found = []

    @settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=8, database=None)
    @given(event_logs(name))
    def generate(stream):
        found.append(stream)

    generate()
    return found


def by_spark(frame, folder):
    """A frame's features, shape (n, features), in the order asked for."""
    frame.write.parquet(str(folder))
    table = pq.read_table(folder).sort_by("ask")
    return np.column_stack([table[name].to_numpy().astype(np.float64) for name in NAMES])


@pytest.mark.long
@pytest.mark.parametrize("bounds", [Bounds(), Bounds(distinct=2, rows=3, labels=2)], ids=["usual", "small"])
def test_spark_agrees_with_all_engines_on_many_logs_at_once(bounds, spark, tmp_path):
    from stream_features.offline.spark_engine import SparkEngine

    found = generated(STREAMS)
    transactions, labels, asked, as_of, within = reference_features(found, bounds, len(found))
    for name, table in (("transactions", transactions), ("labels", labels), ("asked", asked)):
        pq.write_table(table, tmp_path / f"{name}.parquet")
    with BatchEngine([transactions], [labels]) as duckdb:
        assert_agree(duckdb.features(transactions, bounds=bounds), as_of)
    with SparkEngine(spark, [tmp_path / "transactions.parquet"], [tmp_path / "labels.parquet"]) as engine:
        for name, reading, wanted in (("as_of", AsOf(), as_of), ("within", WithinPrefix(HORIZON), within)):
            frame = engine.features(tmp_path / "asked.parquet", reading, bounds=bounds)
            assert_agree(by_spark(frame, tmp_path / name), wanted)
