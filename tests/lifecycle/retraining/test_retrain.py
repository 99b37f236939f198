"""Retraining: killed at every step and resumed, one at a time, and refused without harm."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tarfile

import msgspec
import pyarrow.parquet as pq
import pytest

from fraudsim.errors import FraudsimError
from fraudsim.polling import poll_until
from fraudsim.settings import Settings
from lifecycle.retraining import retrain as retraining
from lifecycle.retraining import steps
from lifecycle.retraining.gate import GateFigures
from lifecycle.retraining.job import LOCK_FILE, jobs_in
from lifecycle.retraining.retrain import RetrainingOptions, retrain
from lifecycle.retraining.window import known_data, newest_event_ms
from model.registry.audit import read_audit
from model.registry.lineage import read_lineage
from model.registry.versions import list_versions, read_aliases
from producers.history.reader import read_history
from stream_features.catalogue.features import DAY
from tests.lifecycle.conftest import ARCHIVE

SETTINGS = Settings(_env_file=None, label_gap_days=1)
quiet = [].append


def options(run, **changes):
    values = {"run": run, "registry": run / "models", "work": run / "retraining", "days": 90.0, **changes}
    return RetrainingOptions(**values)


def command(run, *words):
    return subprocess.Popen(
        [sys.executable, "-m", "fraudsim", "model", "retrain", "--run", run, "--at", run / "models", *words],
        env={**os.environ, "FRAUDSIM_LABEL_GAP_DAYS": "1", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def assert_registered_once(run, before):
    aliases = read_aliases(run / "models")
    (new,) = set(list_versions(run / "models")) - {before}
    assert (aliases.champion, aliases.shadows) == (before, [new])
    entries = [entry for entry in read_audit(run / "models") if entry.actor.startswith("retraining")]
    assert [entry.after.shadows for entry in entries] == [[new]]
    lineage = read_lineage(run / "models", new)
    assert (lineage.version, lineage.parent) == (new, before)
    assert [job.result.status for job in jobs_in(run / "retraining")] == ["shadow"]
    return new


@pytest.fixture(scope="module")
def gated(tmp_path_factory):
    """A run whose retraining has come to the gate and no further."""
    folder = tmp_path_factory.mktemp("gated") / "run"
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    assert retrain(options(folder, until="gate"), SETTINGS, quiet) is None
    return folder


@pytest.fixture
def at_the_gate(gated, run):
    """A copy of it."""
    shutil.copytree(gated / "retraining", run / "retraining")
    (job,) = jobs_in(run / "retraining")
    change_plan(job, run=str(run), registry=str(run / "models"))
    return run


def change_plan(job, **changes):
    plan = msgspec.structs.replace(job.plan, **changes)
    (job.folder / "plan.json").write_bytes(msgspec.json.encode(plan))


def test_killed_at_every_step_and_resumed_it_registers_one_model_and_none_twice(run):
    before = read_aliases(run / "models").champion
    for name in steps.NAMES:
        process = command(run)
        for line in process.stdout:
            if line.strip() == f"step {name}":
                process.send_signal(signal.SIGKILL)
                break
        process.wait(120)
        process.stdout.close()
        process.stderr.close()
        assert read_aliases(run / "models").champion == before
        for version in list_versions(run / "models"):
            steps.load_model(run / "models" / version)
    if jobs_in(run / "retraining")[-1].result is None:  # a kill may come after the last step
        output, errors = command(run).communicate(timeout=120)
        assert output.splitlines()[-1].startswith("shadow "), errors
    assert_registered_once(run, before)


class Crash(BaseException):
    """The end of a process."""


@pytest.mark.parametrize("point", ["write_lineage", "write_json", "change_aliases", "finish"])
def test_a_crash_between_an_effect_and_its_note_does_nothing_twice(at_the_gate, monkeypatch, point):
    run = at_the_gate
    before = read_aliases(run / "models").champion

    def crash_after(function):
        def crashing(*args, **kwargs):
            function(*args, **kwargs)
            raise Crash

        return crashing

    def crash_before(*_, **__):
        raise Crash

    with monkeypatch.context() as patched:
        if point == "finish":
            patched.setattr(steps.RetrainingJob, "finish", crash_before)
        elif point == "write_json":
            patched.setattr(steps, "write_json", crash_before)
        else:
            patched.setattr(steps, point, crash_after(getattr(steps, point)))
        with pytest.raises(Crash):
            retrain(options(run), SETTINGS, quiet)
    assert retrain(options(run), SETTINGS, quiet).status == "shadow"
    assert_registered_once(run, before)


def test_a_second_one_at_the_same_time_is_refused(run):
    work = run / "retraining"
    work.mkdir()
    with (work / LOCK_FILE).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(FraudsimError, match="another retraining is at work there; wait for it"):
            retrain(options(run), SETTINGS, quiet)
    assert not jobs_in(work)


def test_a_passing_model_decides_at_once_where_the_plan_says_so(at_the_gate):
    run = at_the_gate
    before = read_aliases(run / "models").champion
    change_plan(jobs_in(run / "retraining")[0], promote=True, trigger="drift: area of amount")
    result = retrain(options(run), SETTINGS, quiet)
    aliases = read_aliases(run / "models")
    assert (aliases.champion, aliases.previous, result.status) == (result.version, before, "promoted")
    entry = read_audit(run / "models")[-1]
    assert (entry.reason, entry.before.champion, entry.after.champion) == (
        "drift: area of amount", before, result.version,
    )  # fmt: skip


def test_one_that_costs_more_is_rejected_and_registered_nowhere(at_the_gate, monkeypatch):
    run = at_the_gate
    (jobs_in(run / "retraining")[0].folder / "gate.json").unlink()
    worse = GateFigures(payments=9, known_frauds=1, champion=5.0, difference=2.0, low=-1.0, high=5.0)
    monkeypatch.setattr(steps, "compare", lambda *_: worse)
    before = list_versions(run / "models")
    result = retrain(options(run), SETTINGS, quiet)
    assert result.status == "rejected"
    assert "+2 cents for 1,000 payments against the champion (-1 to +5)" in result.reason
    assert list_versions(run / "models") == before
    assert read_aliases(run / "models").shadows == []


def without_fraud(run, from_ms):
    """Take every label of a payment from some time on out of history and log."""
    for path in (run / "history" / "labels.parquet", *run.glob("log/labels-*.parquet")):
        table = pq.read_table(path)
        keep = [ts is None or ts < from_ms for ts in table["ts"].to_pylist()]
        pq.write_table(table.filter(keep), path)


@pytest.mark.parametrize(
    ("from_day", "says"),
    [
        (0, "step train: .* has .* transactions of which 0 are known frauds at the training time"),
        (43, "step gate: .* none of the last .* payments is a known fraud, so nothing can be compared"),
    ],
)
def test_too_few_labels_are_one_line_and_the_champion_serves_on(run, from_day, says):
    start_ms = read_history(run / "history").manifest.start_ms
    without_fraud(run, start_ms + from_day * DAY)
    before = (run / "models" / "aliases.json").read_bytes()
    with pytest.raises(FraudsimError, match=says) as raised:
        retrain(options(run), SETTINGS, quiet)
    assert "\n" not in str(raised.value)
    assert (run / "models" / "aliases.json").read_bytes() == before
    assert [job.result.status for job in jobs_in(run / "retraining")] == ["failed"]


def test_a_champion_of_another_catalogue_is_refused(run, monkeypatch):
    monkeypatch.setattr(steps, "HASH", "another")
    with pytest.raises(
        FraudsimError, match=r"is of catalogue .*, this program has another; train and promote"
    ):
        retrain(options(run), SETTINGS, quiet)
    assert not jobs_in(run / "retraining")


def test_a_clock_that_jumps_is_refused_with_both_dates(run):
    path = run / "history" / "transactions.parquet"
    table = pq.read_table(path)
    ts, start_ms = table["ts"].to_numpy(), read_history(run / "history").manifest.start_ms
    hole = (ts < start_ms + 20 * DAY) | (ts >= start_ms + 25 * DAY)
    kept = table.filter(hole)
    pq.write_table(kept, path)
    (run / "history" / "truth.parquet").unlink()
    manifest = run / "history" / "manifest.json"
    fields = msgspec.json.decode(manifest.read_bytes()) | {"transactions": kept.num_rows}
    manifest.write_bytes(msgspec.json.encode(fields))
    with pytest.raises(FraudsimError, match="event time jumps from 2024-01-20 to 2024-01-26"):
        retrain(options(run), SETTINGS, quiet)


def test_a_clock_that_went_back_is_refused(run):
    retrain(options(run, until="window"), SETTINGS, quiet)
    (job,) = jobs_in(run / "retraining")
    later = job.plan.now_ms + DAY
    job.folder.rename(job.folder.with_name(str(later)))
    (job,) = jobs_in(run / "retraining")
    change_plan(job, now_ms=later)
    job.finish(retraining.RetrainingResult(status="failed"))
    with pytest.raises(FraudsimError, match="event time went back from"):
        retrain(options(run), SETTINGS, quiet)


def test_it_learns_from_what_was_known_by_then_and_nothing_later(run):
    now_ms = newest_event_ms(run)
    for moment in (now_ms, now_ms - 2 * DAY):
        data = known_data(run, moment, 20)
        assert max(data.transactions["ts"].to_pylist()) < moment
        assert min(data.transactions["ts"].to_pylist()) >= moment - 20 * DAY
        assert max(data.labels["known_at"].to_pylist()) < moment
    end_ms = read_history(run / "history").manifest.end_ms
    live = [ts for ts in known_data(run, now_ms, 20).transactions["ts"].to_pylist() if ts >= end_ms]
    archived = sum(pq.read_metadata(path).num_rows for path in run.glob("log/transactions-*.parquet"))
    assert len(live) == archived > 0


def test_the_part_takes_up_what_an_earlier_process_left_and_ends_when_told(at_the_gate):
    run = at_the_gate
    before = read_aliases(run / "models").champion
    with command(run, "--every", "7d") as process:
        assert poll_until(lambda: jobs_in(run / "retraining")[0].result is not None, 120)
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, output + errors
    assert_registered_once(run, before)
