"""Kernels, DuckDB and brute force agree on any log: whole numbers exactly, the rest to 1e-9."""

import ast
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fraudsim.errors import FraudsimError
from fraudsim.log.events import Label
from producers.history.reader import read_history
from producers.history.writer import write_history
from producers.world.config import WorldConfig
from producers.world.world import World
from stream_features.catalogue import features as catalogue
from stream_features.catalogue.features import (
    AGGREGATES,
    COUNTERPARTS,
    DAY,
    KEY_FIELD,
    LABELLED,
    LONGEST,
    MINUTE,
    NAMES,
    WINDOWED,
)
from stream_features.offline import bulk, oracle
from stream_features.offline.duckdb_engine import BLOCK, DuckDBEngine
from stream_features.offline.sql.statement import StateBounds
from stream_features.offline.sql.visibility import AsOf, WithinPrefix
from testing.contracts.engines import assert_agree, events_before, reference_features
from testing.contracts.event_streams import T0, tx
from testing.contracts.random_logs import HORIZON, EventLog, event_logs, label_table, transaction_table

BOUNDS = [
    StateBounds(),
    StateBounds(),
    StateBounds(distinct=2, rows=3, labels=2),
    StateBounds(distinct=1, rows=1, labels=1),
]


def check_all_engines(generated_streams, bounds, seed):
    """Some streams by all engines, with both visibilities."""
    transactions, labels, queries, as_of, within = reference_features(generated_streams, bounds, seed)
    with DuckDBEngine([transactions], [labels], threads=1) as engine:
        assert_agree(engine.features(transactions, bounds=bounds), as_of)
        assert_agree(engine.features(queries, WithinPrefix(HORIZON), bounds=bounds), within)


several = st.integers(1, 8).flatmap(lambda n: st.tuples(*(event_logs(str(i)) for i in range(n))))
logs = given(several, st.sampled_from(BOUNDS), st.integers(0, 2**32))
with_time = settings(deadline=None, suppress_health_check=list(HealthCheck))


@settings(with_time, max_examples=6)
@logs
def test_all_engines_agree_on_any_log(generated_streams, bounds, seed):
    check_all_engines(generated_streams, bounds, seed)


@pytest.mark.long
@settings(with_time, max_examples=600)
@logs
def test_all_engines_agree_on_many_logs(generated_streams, bounds, seed):
    check_all_engines(generated_streams, bounds, seed)


SOME = np.arange(0, 2 * BLOCK + 2, 2)
"""More than one block."""
SMALL = [
    catalogue._window(
        entity, f"{entity}_{aggregate}_{window}_{counterpart}", aggregate, window, "", counterpart
    )
    for entity in WINDOWED
    for aggregate in AGGREGATES
    for window in (MINUTE, DAY, LONGEST)
    for counterpart in (COUNTERPARTS[entity] if aggregate in ("distinct", "same") else ("",))
    if aggregate != "fraud_rate" or entity in LABELLED
]


HALF_A_STEP = 41.964815
"""Counted from the south pole it is rounded to one side, from the equator to the other."""


def test_a_feature_that_the_catalogue_lacks_is_one_line_more():
    # Few instants, most on whole seconds: places tie, and labels come to be known where windows end.
    rng = random.Random(2)
    events = [
        tx(
            n, T0 + rng.randrange(80) * DAY // 2 + rng.choice([0, 0, 500]), rng.randrange(10**6),
            rng.choice("ccck"), rng.choice("de"), rng.choice("mno"),
            lat=rng.choice([HALF_A_STEP, rng.uniform(-60, 60)]), lon=rng.uniform(-180, 180),
        )
        for n in range(80)
    ]  # fmt: skip
    labels = [
        Label(
            tx_id=e.tx_id, card_id=e.card_id, merchant_id=e.merchant_id, ts=e.ts, amount_cents=1,
            is_fraud=rng.random() < 0.7, source="customer", known_at=rng.choice(events).ts // 1_000 * 1_000,
        )
        for e in rng.sample(events, 50)
    ]  # fmt: skip
    stream = EventLog([(None, e) for e in events], [(None, item) for item in labels])
    table = transaction_table([stream])
    with DuckDBEngine([table], [label_table([stream])], threads=1) as engine:
        actual = engine.features(table, features=SMALL)
    for row, at_hand in zip(actual, events, strict=True):
        for value, feature in zip(row, SMALL, strict=True):
            events_and_labels = events_before(
                stream, at_hand, feature.entity, getattr(at_hand, KEY_FIELD[feature.entity])
            )
            expected = oracle.value_of(feature, at_hand, *events_and_labels)
            assert value == pytest.approx(expected, rel=1e-9, nan_ok=True), (feature.name, at_hand.tx_id)


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    folder = tmp_path_factory.mktemp("history")
    write_history(folder, World(WorldConfig(cards=40, seed=11, fraud_scale=10)), 40)
    return folder


@pytest.mark.parametrize("lag_ms", [0, DAY])
def test_a_world_s_history_gives_the_same_features_from_parquet_as_from_the_kernel(history, lag_ms):
    read = read_history(history)
    transactions, labels = read.transactions(), read.labels()
    with DuckDBEngine([history / "transactions.parquet"], [history / "labels.parquet"]) as engine:
        actual = engine.features(transactions.take(SOME), AsOf(lag_ms))
    assert_agree(actual, bulk.bulk_features(transactions, labels, lag_ms, np.float64)[SOME])
    assert len(np.unique(actual[:, NAMES.index("merchant_fraud_30d")])) > 20


def test_a_source_that_cannot_be_read_is_named_with_what_to_do(tmp_path):
    with pytest.raises(
        FraudsimError, match=r"transactions: .*none\.parquet cannot be read .*give a Parquet file"
    ):
        DuckDBEngine([tmp_path / "none.parquet"])
    with pytest.raises(FraudsimError, match="labels: the Arrow table has no column known_at"):
        DuckDBEngine([], [label_table([EventLog()]).drop_columns("known_at")])


def test_the_sql_engines_share_the_catalogue_with_the_kernels_and_no_code():
    room = Path(bulk.__file__).parent
    engines = {path.stem for name in ("duckdb", "spark") for path in room.glob(f"{name}*.py")}
    engines |= {f"sql/{path.stem}" for path in (room / "sql").glob("*.py")}
    assert {"sql/statement", "sql/formulas", "duckdb_engine", "spark_engine"} <= engines
    shared = {"stream_features.catalogue.features", "stream_features.encode"}
    modules = {f"stream_features.offline.{engine.replace('/', '.')}" for engine in engines}
    for name in engines:
        imported = {
            node.module
            for node in ast.walk(ast.parse((room / f"{name}.py").read_text()))
            if isinstance(node, ast.ImportFrom) and node.module.startswith("stream_features")
        }
        assert imported <= modules | shared, name
