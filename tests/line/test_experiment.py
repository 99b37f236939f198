"""An experiment on a running line: arms in the log, a scorer killed in mid-stage, a bad model rolled back."""

import subprocess
import sys
import time

import msgspec
import pytest

from fraudsim.log.events import Assignment
from fraudsim.polling import poll_until
from lifecycle.experiment.state import read_state
from model.artefact.files import load_model
from model.registry.aliases import bucket_of
from model.registry.versions import add_version, read_aliases
from runner.line.options import LineOptions
from stream_features.offline.archived_log import first_decisions
from stream_features.vector import as_vector
from testing.rigs.live_line import kill, run_line, wait_for_decisions
from testing.samples.other_model import another_version
from testing.samples.small_models import make_models

pytestmark = [pytest.mark.stack, pytest.mark.long]
STAGES = "25%:30"


def start(registry, run, version, log):
    words = ["model", "experiment", "start", version, "--at", str(registry), "--run", str(run)]
    words += ["--stages", STAGES, "--every", "1", "--salt", version]
    return subprocess.Popen([sys.executable, "-m", "fraudsim", *words], stdout=log, stderr=log)


def assigned(run):
    """Decisions by the version that their card was assigned to, with the rows."""
    return [
        (msgspec.json.decode(row["assignment"], type=Assignment), row)
        for row in first_decisions(run).to_pylist()
        if row["assignment"] is not None
    ]


def test_no_card_changes_its_arm_and_a_bad_model_goes_by_itself(tmp_path, prepared, line_settings):
    run, registry = tmp_path / "run", tmp_path / "run" / "models"
    figures = {}

    def act(line, observer):
        wait_for_decisions(line, observer, 200)
        good = add_version(another_version(run / "model", tmp_path / "good"), registry)[0].version
        poor = add_version(make_models(tmp_path / "poor", 1)[0], registry)[0].version
        figures.update(good=good, poor=poor)
        with (tmp_path / "experiment.log").open("wb") as log:
            first = start(registry, run, good, log)
            assert poll_until(lambda: len(assigned(run)) > 500, 120, every_s=0.5)
            kill(line, "scorer")
            at_kill = observer.tally.decisions
            wait_for_decisions(line, observer, at_kill + 1_500)
            subprocess.run(
                [sys.executable, "-m", "fraudsim", "model", "experiment", "stop", "--at", str(registry)],
                check=True,
            )
            assert first.wait(60) == 3
            began = time.monotonic()
            second = start(registry, run, poor, log)
            figures["code"] = second.wait(150)
            figures["seconds"] = time.monotonic() - began

    options = LineOptions(run, seconds=75, rate=200, cards=800, reuse=prepared)
    summary = run_line(options, line_settings, act)
    state, log = read_state(registry), (tmp_path / "experiment.log").read_text()
    print(log)
    assert figures["code"] == 1, log
    assert (state.challenger, state.status) == (figures["poor"], "rolled back"), log
    assert read_aliases(registry).challengers == []
    assert "against as many cards of A" in log
    assert summary["restarts"]["scorer"] == 1
    assert (summary["lost"], summary["duplicated"], summary["parity"]["mismatches"]) == (0, 0, 0)
    models = {path.name: load_model(path) for path in registry.iterdir() if path.is_dir()}
    arms: dict[tuple[str, str], set[str]] = {}
    decided = {figures["good"]: 0, figures["poor"]: 0}
    for assignment, row in assigned(run):
        assert assignment.bucket == bucket_of(row["card_id"], assignment.salt)
        in_b = assignment.first <= assignment.bucket < assignment.end
        assert (assignment.model_version == assignment.salt) == in_b
        arms.setdefault((assignment.salt, row["card_id"]), set()).add(assignment.model_version)
        if in_b:
            decided[assignment.salt] += 1
        if not row["degraded"]:
            assert row["model_version"] == assignment.model_version
            vector = as_vector(row["features"]).reshape(1, -1)
            assert row["score"] == float(models[row["model_version"]].serving.predict(vector)[0])
    assert all(len(versions) == 1 for versions in arms.values())
    assert min(decided.values()) > 50
