"""`fraudsim features compute`: the same features of a history, and of a run's log, by every engine."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from fraudsim.errors import FraudsimError
from fraudsim.log.events import Label, Transaction
from producers.history.writer import write_history
from producers.world.config import WorldConfig
from producers.world.world import World
from stream_features.catalogue.features import DAY, HOUR, NAMES
from stream_features.offline.compute import compute
from testing.contracts.engines import assert_agree
from testing.samples.log import T0
from testing.samples.run import write_run
from tests.stream_features.offline.spark_mark import needs_spark

SPARK = pytest.param("spark", marks=needs_spark)


def features_in(folder):
    """Ids and features, in the order of time, whatever order an engine wrote them in."""
    table = pq.read_table(folder).sort_by([("ts", "ascending"), ("tx_id", "ascending")])
    values = np.column_stack([table[name].to_numpy().astype(np.float64) for name in NAMES])
    return table["tx_id"].to_pylist(), values


@pytest.mark.parametrize("engine", ["duckdb", SPARK])
def test_another_engine_writes_the_same_features_of_a_history_as_the_kernel(engine, tmp_path):
    history = tmp_path / "history"
    write_history(history, World(WorldConfig(cards=30, seed=5, fraud_scale=10)), 12)
    for name in ("kernel", engine):
        number = compute(name, history, tmp_path / name, DAY)
    ids, by_kernel = features_in(tmp_path / "kernel")
    assert len(ids) == number > 500
    other_ids, by_other = features_in(tmp_path / engine)
    assert ids == other_ids
    assert_agree(by_other, by_kernel)


@pytest.mark.parametrize("engine", ["kernel", "duckdb", SPARK])
def test_a_run_s_log_is_queried_and_its_history_is_visible(engine, tmp_path):
    def tx(name, ts):
        return Transaction(tx_id=name, ts=ts, card_id="c", merchant_id="m", amount_cents=100)

    def fraud(name, known_at):
        return Label(
            tx_id=name, card_id="c", merchant_id="m", ts=T0 - DAY, amount_cents=100, is_fraud=True,
            source="customer", known_at=known_at,
        )  # fmt: skip

    past, first, second = tx("past", T0 - 2 * HOUR), tx("first", T0), tx("second", T0 + 60_000)
    # Labels that a history dates after the run's start are known only through the log.
    known_label, to_come = fraud("past", T0 - HOUR), fraud("past-too", T0 + 1)
    placed = [((0, 0), first), ((0, 1), second), ((0, 2), first)]
    run = write_run(tmp_path, placed, [], history=[past], history_labels=[known_label, to_come])
    assert compute(engine, run, tmp_path / "out") == 2
    ids, values = features_in(tmp_path / "out")
    assert ids == ["first", "second"]
    assert values[:, NAMES.index("card_count_24h")].tolist() == [2, 3]
    risk = values[:, NAMES.index("merchant_fraud_30d")]
    assert risk == pytest.approx([(1 + 20 * 0.003) / 21, (1 + 20 * 0.003) / 22])


@pytest.mark.parametrize(
    ("engine", "source", "out", "message"),
    [
        ("flink", "history", "out", "--engine flink is not known, take one of kernel, duckdb, spark"),
        ("kernel", "history", ".", r"--out .* exists, name a folder that does not"),
        ("kernel", "nothing", "out", "nothing has no transactions.parquet"),
    ],
)
def test_what_cannot_be_computed_is_named(engine, source, out, message, tmp_path):
    with pytest.raises(FraudsimError, match=message):
        compute(engine, tmp_path / source, tmp_path / out)
