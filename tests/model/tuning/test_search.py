import sys

import pytest
from typer.testing import CliRunner

from fraudsim.errors import FraudsimError
from model.cli import app
from model.forest.fit import SHIPPED, XGBOOST_DEFAULTS
from model.tuning import trials
from model.tuning.paired import PairedDifference
from model.tuning.search import SearchBudget, require_optuna, search
from model.tuning.trials import Trial, WorldTrial, append_trial, choose, read_trials
from model.tuning.tune_report import markdown, report_of
from model.tuning.worlds import WorldSize, handbook_like_world, prepare


def trial_of(difference, low, parameters=SHIPPED, world="one"):
    compared = PairedDifference(0.5 + difference, 0.5, difference, low, difference + 0.1)
    return Trial(parameters=parameters, worlds=[WorldTrial(world=world, compared=compared)], seconds=1.0)


def test_the_best_trial_that_loses_nowhere_is_chosen():
    losing, safe, worse = trial_of(0.2, -0.02), trial_of(0.1, -0.01), trial_of(0.05, 0.01)
    assert choose([losing, worse, safe]) is safe
    assert choose([losing]) is None
    assert "keep the shipped" in markdown(report_of([losing], None, [], 7))
    assert "| one | 0 | 0.600 | 0.500 | +0.100 (-0.010 to +0.200) |" in markdown(
        report_of([safe], safe, [], 7)
    )


def test_without_optuna_one_line_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(FraudsimError, match=r"^model tune: Optuna is not installed; `make setup-tune`"):
        require_optuna()
    result = CliRunner().invoke(app, ["model", "tune", "--out", str(tmp_path / "out")])
    assert "Optuna is not installed" in str(result.exception)
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    size = WorldSize(handbook_customers=250, handbook_days=42)
    return prepare(handbook_like_world(size), tmp_path_factory.mktemp("worlds"))


def test_a_cut_line_is_left_out_and_other_worlds_are_refused(world, tmp_path):
    path = tmp_path / "trials.jsonl"
    append_trial(path, trial_of(0.1, 0.0, world=world.name))
    path.write_bytes(path.read_bytes() + b'{"parameters"')
    assert len(read_trials(path, [world])) == 1
    append_trial(tmp_path / "other.jsonl", trial_of(0.1, 0.0))
    with pytest.raises(FraudsimError, match="of other worlds"):
        read_trials(tmp_path / "other.jsonl", [world])


def test_xgboosts_defaults_do_not_differ_from_themselves(world):
    baselines = trials.baseline_scores([world], 7)
    trial = trials.run_trial([world], baselines, XGBOOST_DEFAULTS, 7, lambda: 0.0)
    assert trial.mean_difference == trial.worst_low == 0


def test_a_search_stops_at_its_budget_and_goes_on_from_its_file(world, tmp_path):
    pytest.importorskip("optuna", reason="Optuna, the extra `tune`, is not installed")
    path = tmp_path / "trials.jsonl"
    first = search([world], path, SearchBudget(2, 5), 7)
    assert [trial.parameters for trial in first] == [SHIPPED, XGBOOST_DEFAULTS]
    heard = []
    second = search([world], path, SearchBudget(4, 5), 7, on_trial=lambda number, trial: heard.append(number))
    assert second[:2] == first
    assert heard == [3, 4]
    assert len({trial.parameters for trial in second}) == 4
