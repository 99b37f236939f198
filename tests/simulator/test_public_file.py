"""Histories of public files in the fast-forward: their last days are decided; what cannot be is one line."""

import json
import shutil

import pytest

from fraudsim.archive.log_files import read_log
from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from producers.datasets.registry import read_dataset
from producers.history.reader import read_history
from producers.history.writer import write_history
from producers.world.config import WorldConfig
from producers.world.world import World
from simulator.regimes import regime_of
from simulator.simulate import SimulationPlan, simulate
from stream_features.parity.check import ParityPlan, check_parity
from testing.samples.published_files import handbook, write_handbook
from tests.handbook_file import REAL, needs_the_file


def write_file_history(file, folder):
    dataset = read_dataset(file)
    dataset.write_history(folder, dataset.end_ms)


@pytest.fixture(scope="module")
def file_history(tmp_path_factory):
    folder = tmp_path_factory.mktemp("public")
    write_file_history(write_handbook(folder / "book.parquet", handbook(9)), folder / "history")
    return folder / "history"


def test_the_last_days_of_a_file_are_decided_and_their_vectors_are_the_engines(
    earlier_run, file_history, tmp_path
):
    plan = SimulationPlan(file_history, regime_of("real-time"), tmp_path / "run", 3, earlier_run / "model")
    summary = simulate(plan, Settings())
    transactions = read_history(file_history).transactions()
    ids = read_log(plan.out, "decisions")["tx_id"].to_pylist()
    assert sorted(ids) == sorted(transactions["tx_id"].to_pylist()[-summary["decided"] :])
    assert summary["decided"] == transactions.num_rows // 3
    result = check_parity(plan.out, plan.out / "history", Settings(), ParityPlan(brute_force=10, sample=20))
    assert (result.vectors, result.mismatches) == (summary["decided"], 0)


@needs_the_file
def test_the_handbooks_own_file_goes_through(earlier_run, tmp_path):
    write_file_history(REAL, tmp_path / "history")
    plan = SimulationPlan(
        tmp_path / "history", regime_of("nightly"), tmp_path / "run", 2, earlier_run / "model", vectors=False
    )
    summary = simulate(plan, Settings())
    assert summary["decided"] > 10_000
    assert summary["ledger"]["total"]["at_stake"]["count"] > 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"days": 9}, "--days 9: history .* has 9 days, and the last of them are simulated; give fewer"),
        ({"model": None}, "its last days are simulated, and a model must not have seen them; name one by"),
        ({"reacting": True}, "--reacting needs a world: a public file has no campaigns"),
    ],
)
def test_what_a_file_cannot_do_is_one_line(earlier_run, file_history, tmp_path, change, words):
    options = {"days": 3, "model": earlier_run / "model", **change}
    plan = SimulationPlan(file_history, regime_of("real-time"), tmp_path / "run", **options)
    with pytest.raises(FraudsimError, match=words):
        simulate(plan, Settings())
    assert not plan.out.exists()


def test_a_history_of_another_version_is_one_line(file_history, tmp_path, earlier_run):
    copy = shutil.copytree(file_history, tmp_path / "history")
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps(manifest | {"layout_version": 99}))
    plan = SimulationPlan(copy, regime_of("real-time"), tmp_path / "run", 2, earlier_run / "model")
    with pytest.raises(FraudsimError, match="layout_version=99, this program reads"):
        simulate(plan, Settings())


@pytest.mark.parametrize(
    ("days", "fraud_scale", "words"),
    [(12, 1.0, "leaves less than a day to train on"), (30, 0.0, "0 are known frauds")],
)
def test_a_history_that_no_model_can_be_trained_on_is_one_line(tmp_path, days, fraud_scale, words):
    write_history(tmp_path / "history", World(WorldConfig(cards=60, seed=1, fraud_scale=fraud_scale)), days)
    plan = SimulationPlan(tmp_path / "history", regime_of("real-time"), tmp_path / "run", 2)
    with pytest.raises(FraudsimError, match=words):
        simulate(plan, Settings(_env_file=None, label_gap_days=11 if fraud_scale else 3))
