"""A retraining by single steps, as a scheduler runs it: each once, in order, and none of another one."""

import shutil

import pytest
from typer.testing import CliRunner

from fraudsim.cli import build
from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from lifecycle.retraining.gate import GateFigures
from lifecycle.retraining.job import RetrainingResult, job_by_name, jobs_in, write_json
from lifecycle.retraining.retrain import RetrainingOptions, open_retraining, run_step
from lifecycle.retraining.steps import WindowFigures
from model.registry.audit import read_audit
from model.registry.versions import list_versions, read_aliases
from testing.samples.other_model import another_version

SETTINGS = Settings(_env_file=None)
FIGURES = WindowFigures(from_ms=0, until_ms=9, transactions=1, labels=1, fingerprint="f")


def open_in(run, **changes):
    options = RetrainingOptions(run, run / "models", run / "retraining", 90.0)._replace(**changes)
    return open_retraining(options, "weekly")


@pytest.fixture
def gated(run):
    """A run whose retraining has come to the gate, with another model, and its job."""
    job = job_by_name(run / "retraining", open_in(run))
    (job.folder / "window").mkdir()
    write_json(job.folder / "window" / "window.json", FIGURES)
    for name in ("features.npy", "check.json"):
        (job.folder / name).touch()
    shutil.copytree(another_version(run / "model", run / "other"), job.folder / "model" / "model")
    passed = GateFigures(payments=9, known_frauds=1, champion=5.0, difference=-2.0, low=-3.0, high=1.0)
    write_json(job.folder / "gate.json", passed)
    return run, job


def step(run, name, which):
    return run_step(run / "retraining", name, which, SETTINGS, lambda _: None)


def test_each_step_is_run_once_whatever_the_scheduler_repeats(gated):
    run, job = gated
    before, name = read_aliases(run / "models").champion, job.folder.name
    assert open_in(run) == name, "the unfinished one is taken up"
    for which in ("window", "gate", "register", "gate", "register"):
        assert step(run, name, which) is None
    results = [step(run, name, which) for which in ("shadow", "shadow", "window")]
    (new,) = set(list_versions(run / "models")) - {before}
    assert results == [RetrainingResult(status="shadow", version=new, reason="weekly")] * 3
    entries = [entry for entry in read_audit(run / "models") if entry.actor.startswith("retraining")]
    assert [(entry.reason, entry.after.shadows) for entry in entries] == [("weekly", [new])]
    assert len(jobs_in(run / "retraining")) == 1


def test_a_rejected_one_is_over_and_its_last_step_begins_no_other(gated):
    run, job = gated
    worse = GateFigures(payments=9, known_frauds=1, champion=5.0, difference=2.0, low=-1.0, high=5.0)
    write_json(job.folder / "gate.json", worse)
    before = list_versions(run / "models")
    for which in ("register", "shadow"):
        words = ["model", "retraining", "step", job.folder.name, which, "--run", str(run)]
        outcome = CliRunner().invoke(build(), words)
        assert (outcome.exit_code, outcome.output.splitlines()[-1].split()[0]) == (3, "rejected")
    assert list_versions(run / "models") == before
    assert len(jobs_in(run / "retraining")) == 1


def test_what_cannot_be_run_is_one_line_with_the_next_step(run):
    work, name = run / "retraining", open_in(run)
    assert [path.name for path in (work / name).iterdir()] == ["plan.json"], "nothing is run by opening"
    for which, retraining, says in (
        ("train", name, f"step train comes after window, .* run `retraining step {name} window` first"),
        ("fit", name, "step 'fit' is no step; there are window, features, train"),
        ("train", "7", f"retraining 7: not in .*; there is {name}; begin one by `retraining open`"),
    ):
        with pytest.raises(FraudsimError, match=says):
            step(run, retraining, which)
    with pytest.raises(FraudsimError, match="there is none"):
        run_step(run / "nowhere", "7", "train", SETTINGS, print)
    assert not (run / "nowhere").exists()
