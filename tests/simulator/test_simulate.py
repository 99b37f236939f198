"""Simulated runs, checked by what knows nothing of the fast-forward: parity's engines, the run's ledger."""

from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from fraudsim.archive.log_files import read_log
from fraudsim.cli import build
from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from producers.ledger.ledger import Ledger
from runner.ledger.run_ledger import run_ledger
from simulator.proof.decided_again import decide_again
from simulator.regimes import regime_of
from simulator.simulate import SimulationPlan, simulate
from stream_features.catalogue.features import HOUR, MINUTE
from stream_features.parity.check import ParityPlan, check_parity


def fraudsim(*words: str | Path) -> Result:
    return CliRunner().invoke(build(), [str(word) for word in words], env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def reacting_run(earlier_run, history, tmp_path_factory):
    out = tmp_path_factory.mktemp("simulated") / "run"
    plan = SimulationPlan(history, regime_of("real-time"), out, 6, earlier_run / "model", reacting=True)
    return out, simulate(plan, Settings())


def test_vectors_are_those_of_independent_engines_while_campaigns_react(reacting_run, history):
    run, summary = reacting_run
    assert sum(summary["reactions"].values()) > 0
    assert summary["labels"]["decisions"]["blocked_fraud"] > 0
    result = check_parity(run, history, Settings(), ParityPlan(brute_force=30, sample=150))
    assert (result.vectors, result.mismatches) == (summary["decided"], 0)


def test_scores_and_actions_are_those_of_the_vectors_and_blocks_as_written(reacting_run):
    run, summary = reacting_run
    again = decide_again(run, Settings())
    assert (again.decisions, again.left_out) == (summary["decided"], 0)
    assert (again.vectors_differ, again.scores_differ, again.actions_differ) == (0, 0, 0)


def test_the_ledger_is_what_the_archive_comes_to(reacting_run):
    run, _ = reacting_run
    written = msgspec.json.decode((run / "ledger.json").read_bytes(), type=Ledger)
    again = run_ledger(run, Settings())
    assert (written.total, written.by_action, written.by_typology, written.campaigns) == (
        again.total,
        again.by_action,
        again.by_typology,
        again.campaigns,
    )


def test_decisions_can_be_explained_and_decided_again(reacting_run):
    run, summary = reacting_run
    stopped = next(row for row in read_log(run, "decisions").to_pylist() if row["block"] is not None)
    assert "card_blocked" in fraudsim("explain", stopped["tx_id"], "--run", run).output
    dry_run = fraudsim("policy", "dry-run", run / "policy", "--run", run)
    assert dry_run.exit_code == 0, dry_run.output
    assert f"0 of {summary['decided']:,}" in dry_run.output


@pytest.mark.parametrize(
    ("name", "times"),
    [
        ("delayed", {"duration_ms": 20 * MINUTE}),
        ("micro-batch", {"period_ms": 6 * HOUR, "duration_ms": HOUR}),
    ],
)
def test_stale_vectors_are_those_of_their_log_prefix(earlier_run, history, tmp_path, name, times):
    plan = SimulationPlan(history, regime_of(name, **times), tmp_path / "run", 3, earlier_run / "model")
    simulate(plan, Settings())
    result = check_parity(plan.out, history, Settings(), ParityPlan(brute_force=20, sample=50))
    assert result.vectors > 1000
    assert result.mismatches == 0


@pytest.mark.parametrize(
    "name", ["hybrid", "hopping", "tumbling", "request-only", "blocklist", "score-later", "card-risk"]
)
def test_every_other_regime_runs_and_parity_refuses_it_by_name(earlier_run, history, tmp_path, name):
    plan = SimulationPlan(history, regime_of(name), tmp_path / "run", 3, earlier_run / "model")
    summary = simulate(plan, Settings())
    assert summary["decided"] == sum(summary["actions"].values()) > 1000
    with pytest.raises(FraudsimError, match=f"regime {name}, and parity cannot recompute it"):
        check_parity(plan.out, history, Settings(), ParityPlan())


def test_the_same_plan_gives_the_same_decisions(earlier_run, history, tmp_path):
    tables = []
    for name in ("one", "two"):
        simulate(
            SimulationPlan(history, regime_of("nightly"), tmp_path / name, 2, earlier_run / "model"),
            Settings(),
        )
        tables.append(read_log(tmp_path / name, "decisions"))
    assert tables[0].equals(tables[1])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--regime", "hourly"), "--regime hourly is not known"),
        (("--period", "6"), "--period '6' is no time"),
        (("--model", "here", "--skewed"), "leave out --model or --skewed"),
    ],
)
def test_a_wrong_option_is_refused_in_one_line(history, tmp_path, words, message):
    result = fraudsim("simulate", "--history", history, "--out", tmp_path / "run", *words)
    assert isinstance(result.exception, FraudsimError)
    assert message in str(result.exception)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_exists_is_never_written_into(history, tmp_path):
    with pytest.raises(FraudsimError, match="exists: name a folder that does not"):
        simulate(SimulationPlan(history, regime_of("real-time"), tmp_path), Settings())


def test_without_vectors_a_dry_run_says_so(earlier_run, history, tmp_path):
    plan = SimulationPlan(
        history, regime_of("real-time"), tmp_path / "run", 1, earlier_run / "model", vectors=False
    )
    simulate(plan, Settings())
    result = fraudsim("policy", "dry-run", plan.out / "policy", "--run", plan.out)
    assert "written without vectors" in str(result.exception)
