import json

import numpy as np
import pytest

from fraudsim.settings import Settings
from producers.history.writer import write_history
from producers.world.config import WorldConfig
from producers.world.world import World
from studies import freshness
from studies.freshness import loss_intervals, page_of, study
from studies.report import bar


@pytest.fixture(scope="module")
def result_and_files(tmp_path_factory):
    history, out = tmp_path_factory.mktemp("history"), tmp_path_factory.mktemp("out")
    write_history(history, World(WorldConfig(cards=800, seed=5, fraud_scale=3)), 36)
    patch = pytest.MonkeyPatch()
    patch.setattr(freshness, "RESAMPLES", 20)
    heard = []
    result = study(history, out, Settings(_env_file=None, label_gap_days=7, seed=7), on_lag=heard.append)
    patch.undo()
    return result, out, heard


def test_every_lag_is_tested_on_the_same_transactions(result_and_files):
    result, _, heard = result_and_files
    assert [lag.lag_ms for lag in result.lags] == [0, 300_000, 3_600_000, 86_400_000]
    assert heard[:4] == ["fresh", "5 min", "1 h", "1 d"]
    assert result.test_frauds > 0


def test_fresh_features_lose_nothing_and_day_old_ones_do(result_and_files):
    fresh, *_, day_old = result_and_files[0].lags
    assert fresh.loss == fresh.loss_low == fresh.loss_high == 0
    assert day_old.loss > 0
    assert fresh.recall_by_typology["card_testing"] > day_old.recall_by_typology["card_testing"]


def test_the_files_hold_the_result(result_and_files):
    result, out, _ = result_and_files
    document = json.loads((out / "freshness.json").read_text())
    assert document["lags"][1]["name"] == "5 min"
    assert document["data_fingerprint"] == result.data_fingerprint
    assert (out / "freshness.md").read_text() == page_of(result).markdown()
    assert sorted(path.name for path in out.iterdir()) == ["freshness.json", "freshness.md"]


def test_a_table_row_for_each_lag_and_a_column_for_each_typology(result_and_files):
    result = result_and_files[0]
    rows = [line for line in page_of(result).markdown().splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + len(result.lags)
    assert {row.count("|") for row in rows} == {4 + len(result.frauds_by_typology)}


def test_the_interval_of_a_worse_scoring_lies_above_zero():
    rng = np.random.default_rng(3)
    fraud = rng.random(4000) < 0.1
    good = (fraud + 0.3 * rng.random(4000)).astype(np.float32)
    same, worse = loss_intervals(fraud, [good, rng.random(4000).astype(np.float32)], np.arange(4000), 7, 30)
    assert same == (0, 0)
    assert 0 < worse[0] < worse[1]


def test_bars_are_as_long_as_their_share():
    assert bar(0) == ""
    assert bar(1, 4) == "████"
    assert bar(0.5, 4) == "██"
    assert bar(1 / 32, 4) == "▏"
