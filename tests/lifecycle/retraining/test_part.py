"""The retrainer of a line: triggers in event time, one retraining at a time, trials of shadows."""

import shutil
import threading

import msgspec
import pytest
from typer.testing import CliRunner

from dashboards.drift.line.week_records import MatureRecord, SignalRecord, WeekRecord, write_weeks
from fraudsim.archive.log_files import log_files
from fraudsim.cli import build
from fraudsim.errors import FraudsimError
from fraudsim.log.topics import DECISIONS, LABELS
from fraudsim.metrics import registry
from fraudsim.settings import Settings
from lifecycle.retraining import line_clock, part
from lifecycle.retraining.evidence import evidence_of
from lifecycle.retraining.gate import GateFigures
from lifecycle.retraining.job import RetrainingJob, RetrainingPlan, RetrainingResult, jobs_in, write_json
from lifecycle.retraining.line_clock import LineClock
from lifecycle.retraining.part import RetrainingPart
from lifecycle.retraining.retrain import FAILURE, RetrainingOptions
from lifecycle.retraining.trial import ShadowTrial, end_trial, trial_figures, trial_of
from lifecycle.retraining.triggers import WEEKLY, ByDrift, Cadence, cadence_of
from lifecycle.retraining.window import newest_event_ms
from model.registry import aliases as roles
from model.registry.audit import read_audit
from model.registry.versions import add_version, change_aliases, read_aliases
from runner.line.options import RETRAIN_ON, LineOptions, check_retraining
from runner.line.parts import PARTS, PreparedRun, parts_of
from stream_features.catalogue.features import DAY
from testing.samples.other_model import another_version
from tests.dashboards.drift.line.archive import START_MS, decisions, frauds, write

SETTINGS = Settings(_env_file=None, label_gap_days=1)
WEEK = 7 * DAY


def options(run):
    return RetrainingOptions(run, run / "models", run / "retraining", 90.0)


def counted(status, name="fraudsim_retrainings_total"):
    return registry.get_sample_value(name, {"status": status}) or 0


class Line:
    """A retrainer of a run whose event time, and whose retrainings, are the test's."""

    def __init__(self, run, monkeypatch, *, every=None, on=(), promote_after=None, fails=False):
        self.run, self.now_ms, self.tried, self.heard = run, newest_event_ms(run), [], []
        self._fails = fails
        monkeypatch.setattr(part, "retrain", self._retrain)
        monkeypatch.setattr(LineClock, "now_ms", lambda _: self.now_ms)
        self.part = RetrainingPart(
            options(run), cadence_of(every, on, promote_after), SETTINGS, self.heard.append
        )

    def _retrain(self, _options, _settings, _say, reason, now_ms):
        self.tried.append((now_ms, reason))
        if self._fails:
            raise FraudsimError(f"{FAILURE}train: too few")
        return finish(self.run, now_ms)

    def at(self, days):
        """Look when so many days have passed, twice as a part does."""
        self.now_ms = newest_event_ms(self.run) + round(days * DAY)
        stop, looks = threading.Event(), [self.part.look] * 2

        def look():
            if len(looks) == 1:
                stop.set()
            looks.pop()()

        self.part.look = look
        self.part.run(stop)
        del self.part.look
        return len(self.tried)


def finish(run, now_ms, version=None):
    """A finished retraining whose shadow, if any, is in the registry."""
    folder = run / "retraining" / str(now_ms)
    folder.mkdir(parents=True)
    plan = RetrainingPlan(
        run=str(run), registry=str(run / "models"), now_ms=now_ms, days=90, trigger="", promote=False,
        parent=read_aliases(run / "models").champion,
    )  # fmt: skip
    write_json(folder / "plan.json", plan)
    result = RetrainingResult(status="shadow" if version else "rejected", version=version)
    RetrainingJob(folder).finish(result)
    return result


def week(number, *, beyond=(), champion="c" * 16, share=0.5, decided=None):
    start_ms = START_MS + number * WEEK
    signals = [SignalRecord(name=name, against="line", distance=1.0, limit=0.5) for name in beyond]
    return WeekRecord(
        start_ms=start_ms, end_ms=start_ms + WEEK, status="alarm" if beyond else "quiet", champion=champion,
        payments=9, reference_weeks=8, signals=signals,
        mature=MatureRecord(champion=decided or champion, cost_share=share, at_stake_cents=1_000),
    )  # fmt: skip


def test_every_period_of_event_time_it_retrains_again_and_says_what_fails(run, monkeypatch):
    monkeypatch.setattr(part, "POLL_S", 0.001)
    line = Line(run, monkeypatch, every="5d", fails=True)
    before = counted("failed")
    assert [line.at(days) for days in (0, 1, 8, 9)] == [1, 1, 2, 2], (
        "at once, the champion is old; then a period"
    )
    assert [text for text in line.heard if text.startswith(FAILURE)] == [f"{FAILURE}train: too few"] * 2
    assert counted("failed") == before + 2


def test_an_alarm_of_drift_makes_it_retrain_once(run, monkeypatch):
    monkeypatch.setattr(part, "POLL_S", 0.001)
    line = Line(run, monkeypatch, on=["drift"])
    assert line.at(0) == 0
    assert line.heard == ["no week is judged yet: `fraudsim drift --follow` does it, a part with --drift"]
    first = (line.now_ms - START_MS) // WEEK + 1
    write_weeks(run, [week(first)])
    assert line.at(15) == 0
    write_weeks(run, [week(first), week(first + 1, beyond=["area of amount", "psi of score"])])
    alarm_days = (week(first + 1).end_ms - newest_event_ms(run)) / DAY
    assert line.at(alarm_days + 13) == 0, "a model would learn from nothing after the change yet"
    assert line.at(alarm_days + 14) == 1
    assert line.tried[0] == (line.now_ms, "drift: area of amount, psi of score")
    assert line.at(alarm_days + 60) == 1, "the alarm was before it"
    rows = [
        week(first + 4, beyond=["area of amount"]),
        week(first + 5),
        week(first + 6, beyond=["psi of mcc"]),
    ]
    write_weeks(run, rows[:2])
    assert line.at(alarm_days + 61) == 1, "the last week is quiet again"
    write_weeks(run, rows)
    assert line.at(alarm_days + 62) == 2


def test_the_first_trigger_that_asks_is_named_and_money_counts_what_a_retraining_costs(run, monkeypatch):
    monkeypatch.setattr(part, "POLL_S", 0.001)
    line = Line(run, monkeypatch, on=["money", "performance"])
    champion = read_aliases(run / "models").champion
    rows = [week(n, champion=champion, share=share) for n, share in enumerate((0.4, 0.45, 0.6))]
    write_weeks(run, rows)
    assert line.at(30) == 1
    assert line.tried[0][1] == "performance: cost share 0.60 after 0.40", "a few cents at stake are no money"


def test_cost_shares_are_of_weeks_that_the_champion_of_now_decided():
    old, new = "a" * 16, "b" * 16
    decided = [(old, 0.1, old), (new, 0.2, old), (new, 0.3, new), (new, None, new), (new, 0.4, new)]
    weeks = [
        week(number, champion=champion, share=share, decided=by)
        for number, (champion, share, by) in enumerate(decided)
    ]
    found = evidence_of(weeks, 1, 0, new, 5.0)
    assert (found.cost_share_then, found.cost_share, found.at_stake_cents) == (0.3, 0.4, 1_000)
    assert evidence_of(weeks, 1, 0, old, 5.0).cost_share is None, "it decides no more"
    assert evidence_of([], 1, 0, new, 5.0).drifted == []


def test_event_time_comes_from_footers_each_read_once(tmp_path, monkeypatch):
    opened = []
    real = line_clock.newest_of
    monkeypatch.setattr(line_clock, "newest_of", lambda path: opened.append(path) or real(path))
    clock = LineClock(tmp_path)
    assert clock.now_ms() is None
    newest = 0
    for day in (0, 1, 2):
        rows = decisions(day)
        write(tmp_path, DECISIONS, [*rows[::-1], {**rows[0], "ts": None, "error": "value: no JSON"}])
        newest = max(row["ts"] for row in rows)
        assert clock.now_ms() == clock.now_ms() == newest + 1
    assert opened == log_files(tmp_path, DECISIONS)
    (tmp_path / "log" / f"{DECISIONS}-000004.parquet").write_bytes(b"PAR1")
    with pytest.raises(FraudsimError, match=r"000004.parquet: .* restore it, or remove it"):
        clock.now_ms()


@pytest.fixture
def on_trial(run):
    """A run with a shadow from a retraining, and two weeks of decisions from then on."""
    version = add_version(another_version(run / "model", run / "other"), run / "models")[0].version
    change_aliases(run / "models", lambda aliases: roles.add_shadow(aliases, version))
    shutil.rmtree(run / "log")
    finish(run, START_MS, version)
    for days in (range(7), range(7, 14)):
        rows = [row for day in days for row in decisions(day)]
        write(run, DECISIONS, rows)
        write(run, LABELS, frauds(rows, every=10))
    return run, version, jobs_in(run / "retraining")[0]


def test_a_shadow_that_would_have_cost_no_more_decides_after_its_days(on_trial, monkeypatch):
    run, version, job = on_trial
    champion, before = (
        read_aliases(run / "models").champion,
        counted("promoted", "fraudsim_retraining_trials_total"),
    )
    heard, tried, now = [], [], [START_MS + DAY]
    monkeypatch.setattr(part, "retrain", lambda *_: tried.append(now[0]))
    monkeypatch.setattr(LineClock, "now_ms", lambda _: now[0])
    retrainer = RetrainingPart(options(run), cadence_of("1d", (), "7d"), SETTINGS, heard.append)
    retrainer.look()
    assert trial_of(job, 0) == ShadowTrial(version=version, champion=champion, began_ms=START_MS + DAY)
    now[0] += 7 * DAY - 1
    retrainer.look()
    assert read_aliases(run / "models").champion == champion
    assert not tried, "no other retraining begins while a shadow is on trial"
    now[0] += 1
    retrainer.look()
    assert (read_aliases(run / "models").champion, read_aliases(run / "models").previous) == (
        version,
        champion,
    )
    assert heard[0] == f"trial of {version}: promoted"
    assert tried == now
    assert counted("promoted", "fraudsim_retraining_trials_total") == before + 1
    entry = read_audit(run / "models")[-1]
    assert entry.actor == f"trial of retraining {job.folder.name}"
    assert "cents for 1,000 payments against the champion in 7.0 days" in entry.reason
    ended = trial_of(job, 0)
    assert (ended.status, ended.ended_ms, ended.figures.payments) == ("promoted", now[0], 7 * 30)


def test_a_trial_of_equal_models_costs_nothing_and_counts_what_is_known_by_then(on_trial):
    run, version, _ = on_trial
    trial = ShadowTrial(
        version=version, champion=read_aliases(run / "models").champion, began_ms=START_MS + DAY
    )
    until_ms = START_MS + 10 * DAY
    figures = trial_figures(run, run / "models", trial, until_ms)
    rows = [row for day in range(1, 10) for row in decisions(day)]
    days = [
        row
        for half in (range(7), range(7, 14))
        for row in frauds([r for d in half for r in decisions(d)], 10)
    ]
    known = [
        label for label in days if START_MS + DAY <= label["ts"] < until_ms and label["known_at"] < until_ms
    ]
    assert (figures.payments, figures.known_frauds) == (len(rows), len(known))
    assert (figures.difference, figures.passed) == (0, True), "only a threshold differs, and costs decide"


@pytest.mark.parametrize(
    ("difference", "known", "status"),
    [(5.0, True, "dropped"), (0.0, True, "promoted"), (0.0, False, "running")],
)
def test_a_trial_ends_by_its_cost_and_only_where_a_fraud_is_known(
    on_trial, monkeypatch, difference, known, status
):
    run, version, job = on_trial
    figures = GateFigures(payments=9, known_frauds=1, champion=5.0, difference=difference, low=-1.0, high=9.0)
    monkeypatch.setattr("lifecycle.retraining.trial.trial_figures", lambda *_: figures if known else None)
    before = read_aliases(run / "models")
    ended = end_trial(job, trial_of(job, START_MS), run, START_MS + 7 * DAY)
    after = read_aliases(run / "models")
    assert ended.status == status
    wanted = {
        "dropped": (before.champion, []),
        "promoted": (version, []),
        "running": (before.champion, [version]),
    }
    assert (after.champion, after.shadows) == wanted[status]
    # Killed after the roles changed and before that was noted: the next process finds the same end.
    if status == "promoted":
        (job.folder / "trial.json").unlink()
        trial_of(job, START_MS)
        assert end_trial(job, trial_of(job, 0), run, START_MS + 8 * DAY).status == "promoted"


def test_somebody_else_s_change_of_roles_ends_a_trial(on_trial):
    run, version, job = on_trial
    trial = trial_of(job, START_MS)
    change_aliases(run / "models", lambda aliases: roles.remove(aliases, version))
    assert end_trial(job, trial, run, START_MS + 7 * DAY).status == "ended by hand"


def test_the_line_s_options_are_those_of_the_command(tmp_path):
    assert tuple(WEEKLY) == RETRAIN_ON
    given = LineOptions(tmp_path, retrain_every="7d", retrain_on=("drift", "money"), promote_after="3d")
    (row,) = (row for row in PARTS if row.name == "retrainer")
    argv = row.command(PreparedRun(given, SETTINGS, 1.0))
    assert argv[4:] == ["--every", "7d", "--on", "drift", "--on", "money", "--promote-after", "3d"]
    asked = CliRunner().invoke(build(), [*argv, "--until", "gate"])
    assert "--until stops one retraining, --every and --on repeat it" in str(asked.exception)
    assert {part.name for part in parts_of(given, "line")} >= {"drift", "retrainer"}
    assert not {part.name for part in parts_of(LineOptions(tmp_path), "line")} & {"drift", "retrainer"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"retrain_on": ("dirft",)},
            "--retrain-on 'dirft' is no trigger; there are drift, performance, money",
        ),
        ({"promote_after": "7d"}, "--promote-after needs --retrain-every or --retrain-on"),
        ({"retrain_every": "soon"}, "--retrain-every 'soon' is no duration"),
        ({"retrain_every": "0d"}, "--retrain-every '0d' is no time at all"),
        ({"retrain_on": ("drift",), "promote_after": "-1d"}, "--promote-after '-1d' is no duration"),
    ],
)
def test_options_that_cannot_be_met_are_refused_before_anything_starts(tmp_path, changes, says):
    with pytest.raises(FraudsimError, match=says.replace("(", r"\(")):
        check_retraining(LineOptions(tmp_path, **changes))
    words = {"retrain_every": "--every", "promote_after": "--promote-after", "retrain_on": "--on"}
    argv = ["model", "retrain", "--run", str(tmp_path)]
    for name, value in changes.items():
        argv += [words[name], *([value] if isinstance(value, str) else value)]
    error = CliRunner().invoke(build(), argv).exception
    assert isinstance(error, FraudsimError)
    assert "\n" not in str(error)


def test_what_cadence_options_make():
    assert cadence_of(None, ["drift", "drift"], "36h") == Cadence([ByDrift(wait_ms=14 * DAY)], 36 * 3_600_000)
    assert msgspec.to_builtins([trigger.name for trigger in cadence_of("7d", ["money"]).triggers]) == [
        "money",
        "period",
    ]
