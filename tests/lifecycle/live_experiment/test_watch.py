"""The watcher of a live experiment, on an archive whose decisions bear arms as a scorer logs them."""

import json
import shutil
from dataclasses import replace

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from fraudsim.archive.log_files import log_files, read_archived, write_file
from fraudsim.cli import build
from fraudsim.errors import FraudsimError
from fraudsim.log.events import ACTIONS, Assignment
from fraudsim.log.topics import DECISIONS
from fraudsim.settings import Settings
from lifecycle.experiment.lift import read_lifts
from lifecycle.experiment.stages import stages_of
from lifecycle.experiment.state import read_state
from lifecycle.live_experiment.record import offline_of_backtest, record_lift
from lifecycle.live_experiment.watch import LiveExperiment, begin, only_controller, stop
from model.artefact.files import current_versions
from model.registry import aliases as roles
from model.registry.aliases import BUCKETS, bucket_of
from model.registry.versions import add_version, change_aliases, read_aliases
from producers.labels.consequences import Consequences
from scorer.policy.file import load_policy
from scorer.policy.policy import Exploration
from simulator.regimes import REGIMES
from simulator.simulate import SimulationPlan, simulate
from testing.samples.other_model import another_version

SHARE = 0.25


@pytest.fixture(scope="module")
def decided(good_model, world_history, tmp_path_factory):
    """A run of six days without arms."""
    out = tmp_path_factory.mktemp("live") / "run"
    simulate(SimulationPlan(world_history, REGIMES["real-time"], out, 6, good_model), Settings())
    return out


@pytest.fixture
def registry(good_model, tmp_path):
    other = another_version(good_model, tmp_path / "other")
    champion = add_version(good_model, tmp_path / "models")[0].version
    challenger = add_version(other, tmp_path / "models")[0].version
    return tmp_path / "models", champion, challenger


def with_arms(decided, folder, champion, challenger, salt, change=lambda row, in_b: None):
    """A copy of the run whose decisions were made while B had its share."""
    shutil.copytree(decided, folder, symlinks=True)
    for number, path in enumerate(log_files(folder, DECISIONS), 1):
        table = read_archived(path, DECISIONS)
        path.unlink()
        rows = table.to_pylist()
        for row in rows:
            bucket = bucket_of(row["card_id"], salt)
            in_b = bucket < SHARE * BUCKETS
            assignment = Assignment(
                salt=salt, bucket=bucket, first=0, end=round(SHARE * BUCKETS),
                model_version=challenger if in_b else champion,
            )  # fmt: skip
            row["assignment"] = msgspec.json.encode(assignment).decode()
            row["model_version"] = assignment.model_version
            change(row, in_b)
        write_file(folder, DECISIONS, number, pa.Table.from_pylist(rows, schema=table.schema))
    return folder


def watch(registry, run, challenger, stages):
    folder = registry
    policy = load_policy(run / "policy")
    begin(folder, challenger, challenger, stages_of(stages), 1.0, policy, run)
    lines = []
    return LiveExperiment(folder, run, policy, Consequences(), lines.append), lines


def begun(live, registry, at_ms):
    """Let the experiment begin as if the first look had come at the start of the run."""
    live.look()
    path = registry / "experiment.json"
    state = json.loads(path.read_text())
    state["began_ms"] = at_ms
    path.write_text(json.dumps(state))


def first_ms(run):
    return min(read_archived(path, DECISIONS, ["partition", "offset", "ts"])["ts"].to_numpy().min()
               for path in log_files(run, DECISIONS))  # fmt: skip


def test_equal_arms_go_on_and_a_restarted_watcher_says_the_same(decided, registry, tmp_path):
    folder, champion, challenger = registry
    run = with_arms(decided, tmp_path / "run", champion, challenger, challenger)
    live, _ = watch(folder, run, challenger, "25%:30")
    begun(live, folder, int(first_ms(run)))
    seen = []
    for _ in range(2):  # each as after a kill -9
        again = LiveExperiment(folder, run, load_policy(run / "policy"), Consequences())
        seen.append(again.look())
    assert seen[0].running
    assert (seen[0].guards, seen[0].money) == (seen[1].guards, seen[1].money)
    assert {"decline", "alert"} <= seen[0].guards.keys()
    roles_now = read_aliases(folder)
    assert [(c.version, c.first, c.end) for c in roles_now.challengers] == [(challenger, 0, 2_500)]
    assert roles_now.champion == champion


def test_a_crossed_guard_takes_b_out_of_the_registry_and_says_what_it_cost(decided, registry, tmp_path):
    folder, champion, challenger = registry
    rng = np.random.default_rng(1)

    def stricter(row, in_b):
        if in_b and row["block"] is None and rng.random() < 0.5:
            row["action"] = ACTIONS[3]

    run = with_arms(decided, tmp_path / "run", champion, challenger, challenger, stricter)
    live, _ = watch(folder, run, challenger, "25%:30")
    begun(live, folder, int(first_ms(run)))
    lines = []
    state = LiveExperiment(folder, run, load_policy(run / "policy"), Consequences(), lines.append).look()
    assert state.status == "rolled back"
    assert "guard crossed: decline rate" in state.reason
    assert read_aliases(folder).challengers == []
    assert "against as many cards of A" in lines[-1]
    assert LiveExperiment(folder, run, load_policy(run / "policy"), Consequences()).look() == state
    settings = Settings(_env_file=None)
    row = record_lift(folder, state, settings)
    assert (row.status, row.source, row.stage) == ("rolled back", f"line, {run}", "25 %")
    assert row.offline.method == "off-policy" or row.offline.method.startswith("none: ")
    assert (row.offline.gain is None) == row.offline.method.startswith("none: ")
    assert record_lift(folder, state, settings) is None
    assert read_lifts(folder) == ([row], 0)


def test_a_backtest_s_gain_is_taken_of_the_same_pair_only(decided, registry, tmp_path):
    _, champion, challenger = registry
    found = {
        "a": champion, "b": challenger, "source": "h", "method": "twin run", "truth": "known", "weeks": 1.0,
        "cards": 10, "loss_of_a": 1.0, "margin": 0.05, "gate": 0, "verdict": "", "cannot_know": [],
        "difference": {
            "mean": -2_000.0, "low": -3_000.0, "high": -1_000.0, "cards": 10, "cards_that_differ": 9,
        },
        "folds": [], "differing": 1, "examples": [], "versions": msgspec.to_builtins(current_versions()),
    }  # fmt: skip
    (tmp_path / "backtest.json").write_text(json.dumps(found))
    gain = offline_of_backtest(tmp_path, champion, challenger).gain
    assert (gain.difference, gain.low, gain.high) == (-2.0, -3.0, -1.0)
    with pytest.raises(FraudsimError, match="name the backtest of this pair"):
        offline_of_backtest(tmp_path, challenger, champion)
    (tmp_path / "backtest.json").write_text("{}")
    with pytest.raises(FraudsimError, match="run the backtest again"):
        offline_of_backtest(tmp_path, champion, challenger)
    with pytest.raises(FraudsimError, match="No such file"):
        offline_of_backtest(tmp_path / "nowhere", champion, challenger)


def test_a_card_in_another_arm_than_its_hash_ends_it(decided, registry, tmp_path):
    folder, champion, challenger = registry
    wrong = []

    def misassign(row, in_b):
        if not in_b and not wrong:
            wrong.append(row["card_id"])
            assignment = json.loads(row["assignment"]) | {"model_version": challenger}
            row["assignment"] = json.dumps(assignment)

    run = with_arms(decided, tmp_path / "run", champion, challenger, challenger, misassign)
    live, _ = watch(folder, run, challenger, "25%:30")
    begun(live, folder, int(first_ms(run)))
    state = LiveExperiment(folder, run, load_policy(run / "policy"), Consequences()).look()
    assert (state.status, "another arm" in state.reason) == ("rolled back", True)


def test_a_shadow_is_asked_about_the_champion_s_cards_and_the_stages_follow(decided, registry, tmp_path):
    folder, _, challenger = registry
    live, lines = watch(folder, decided, challenger, "shadow:2,1%:5")
    begun(live, folder, int(first_ms(decided)))
    again = LiveExperiment(folder, decided, load_policy(decided / "policy"), Consequences(), lines.append)
    state = again.look()
    assert [step.what for step in state.steps] == ["begins", "begins"]
    assert state.current.name == "1 %"
    assert "stage 1 % begins" in lines
    assert [c.end for c in read_aliases(folder).challengers] == [100]
    assert read_aliases(folder).shadows == []


def test_what_stands_in_the_way_is_said_in_one_line(decided, registry, tmp_path):
    folder, champion, challenger = registry
    policy = load_policy(decided / "policy")
    stages = stages_of("5%:7,25%:7")
    with pytest.raises(FraudsimError, match="is the champion; name another version"):
        begin(folder, champion, "s", stages, 7.0, policy, decided)
    silent = replace(policy, exploration=Exploration())
    with pytest.raises(FraudsimError, match=r"exploration\.share=0"):
        begin(folder, challenger, "s", stages, 7.0, silent, decided)
    begin(folder, challenger, "s", stages_of("5%:7"), 7.0, silent, decided)
    third = another_version(folder / challenger, tmp_path / "third")
    third_version = add_version(third, folder)[0].version
    with pytest.raises(FraudsimError, match="a card belongs to one experiment"):
        begin(folder, third_version, "s", stages, 7.0, policy, decided)
    with (
        only_controller(folder),
        pytest.raises(FraudsimError, match="one at a time"),
        only_controller(folder),
    ):
        pass
    change_aliases(folder, lambda before: roles.promote(before, third_version))
    live = LiveExperiment(folder, decided, policy, Consequences())
    with pytest.raises(FraudsimError, match="the champion is"):
        live.look()
    assert stop(folder).status == "stopped"
    with pytest.raises(FraudsimError, match="none is running"):
        stop(folder)


def test_a_clock_that_jumps_begins_the_stage_anew(decided, registry):
    folder, _, challenger = registry
    live, lines = watch(folder, decided, challenger, "shadow:30")
    live.look()
    live._last_ms = live._last_ms - 10 * 86_400_000
    state = live.look()
    assert state.running
    assert [step.what for step in state.steps] == ["begins", "begins"]
    assert lines[1] == "event time jumped by +240.0 h: stage shadow begins anew"


def test_status_says_where_it_stands(decided, registry):
    folder, _, challenger = registry
    live, _ = watch(folder, decided, challenger, "shadow:30")
    live.look()
    shown = CliRunner().invoke(build(), ["model", "experiment", "status", "--at", str(folder)])
    assert f"{challenger} against champion" in shown.output
    assert "running, stage shadow" in shown.output
    ended = CliRunner().invoke(build(), ["model", "experiment", "stop", "--at", str(folder)])
    assert "was stopped in stage shadow" in ended.output
    assert read_state(folder).status == "stopped"
    assert read_aliases(folder).shadows == []
