"""Backtests of real models on a world and on a simulated run's log."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fraudsim.cli import build
from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from scorer.policy.file import SHIPPED
from simulator.regimes import REGIMES
from simulator.simulate import SimulationPlan, simulate


def fraudsim(*words: str | Path) -> Result:
    return CliRunner().invoke(build(), [str(word) for word in words], env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def exploring_policy(tmp_path_factory):
    """Declines by the score, and lets a fifth of these through."""
    folder = tmp_path_factory.mktemp("policy") / "exploring"
    shutil.copytree(SHIPPED, folder)
    spec = json.loads((folder / "policy.json").read_text())
    spec["act_by"] = {"type": "thresholds", "champion": {"step_up": 0.01, "review": 0.01, "decline": 0.01}}
    spec["exploration"] = {"share": 0.4, "salt": "x", "up_to_cents": 1_000_000}
    spec["limits"]["flag_from_probability"] = 0.0
    (folder / "policy.json").write_text(json.dumps(spec))
    return folder


@pytest.fixture(scope="module")
def logged_run(good_model, world_history, exploring_policy, tmp_path_factory):
    out = tmp_path_factory.mktemp("logged") / "run"
    plan = SimulationPlan(world_history, REGIMES["real-time"], out, 14, good_model, policy=exploring_policy)
    simulate(plan, Settings(_env_file=None))
    return out


def test_a_poor_model_is_worse_in_a_twin_world_and_the_page_says_why(
    good_model, poor_model, world_history, tmp_path
):
    words = ("model", "backtest", good_model, poor_model, "--history", world_history, "--weeks", "2")
    result = fraudsim(*words, "--out", tmp_path / "out")
    assert result.exit_code == 1, result.output
    assert "truth known: the world is synthetic" in result.output
    written = json.loads((tmp_path / "out" / "backtest.json").read_text())
    assert written["difference"]["low"] > 0
    assert len(written["folds"]) == 2
    by_kind = sum(written["twin"]["kinds_of_b"].values()) - sum(written["twin"]["kinds_of_a"].values())
    assert by_kind == pytest.approx(written["difference"]["mean"])
    paid = sum(item["paid_of_a"] for item in written["twin"]["typologies"])
    per_card = 1_000 / (written["weeks"] * written["cards"])
    assert paid * per_card == pytest.approx(written["twin"]["kinds_of_a"]["fraud paid"])
    assert {item["action_of_a"] == item["action_of_b"] for item in written["examples"]} == {False}
    page = (tmp_path / "out" / "index.html").read_text()
    assert "Detection by typology" in page
    assert "What this cannot know" in page


def test_a_model_against_itself_is_not_worse(good_model, world_history, tmp_path):
    words = ("model", "backtest", good_model, good_model, "--history", world_history, "--weeks", "1")
    result = fraudsim(*words, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert "0 of 400 cards differ" in result.output


def test_a_log_is_weighed_by_its_exploration(good_model, poor_model, logged_run, tmp_path):
    words = ("model", "backtest", good_model, poor_model, "--run", logged_run, "--maturity", "0")
    result = fraudsim(*words, "--out", tmp_path)
    assert result.exit_code in (1, 3), result.output
    written = json.loads((tmp_path / "backtest.json").read_text())
    assert written["method"] == "off-policy"
    assert written["off_policy"]["effective_sample"] >= 50
    assert written["off_policy"]["explored"] > 0
    assert f"effective sample {written['off_policy']['effective_sample']:,.1f}" in result.output


def test_a_run_of_another_model_and_a_run_that_is_too_young_are_refused(
    good_model, poor_model, logged_run, tmp_path
):
    result = fraudsim("model", "backtest", poor_model, good_model, "--run", logged_run, "--out", tmp_path)
    assert "not by A" in str(result.exception)
    words = ("--run", logged_run, "--maturity", "20", "--out", tmp_path)
    result = fraudsim("model", "backtest", good_model, poor_model, *words)
    assert "has no decision older than --maturity 20 days" in str(result.exception)
    assert isinstance(result.exception, FraudsimError)


def test_history_and_run_exclude_each_other(good_model, tmp_path):
    result = fraudsim("model", "backtest", good_model, good_model, "--out", tmp_path)
    assert "one of --history DIR and --run DIR" in str(result.exception)
