"""A timeline's script, its money by week, what happened when, and its drawing."""

import re
from xml.etree import ElementTree

import msgspec
import pytest
import yaml
from typer.testing import CliRunner

from dashboards.drift.decided_weeks import WEEK_MS
from fraudsim.cli import build
from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from lifecycle.retraining.gate import GateFigures
from lifecycle.retraining.job import RetrainingJob, RetrainingPlan, RetrainingResult, write_json
from lifecycle.retraining.trial import TRIAL_FILE, ShadowTrial
from lifecycle.timeline.marks import marks_of
from lifecycle.timeline.plan import ATTACKS, HISTORY, TimelinePlan
from lifecycle.timeline.play import options_of
from lifecycle.timeline.plot import timeline_svg
from lifecycle.timeline.result import Timeline, TimelineMark, TimelineWeek
from lifecycle.timeline.summary import summary_lines
from lifecycle.timeline.weekly_money import costs_by_week, ledger_by_week
from model.registry.versions import add_version
from producers.history.reader import read_history
from producers.scenario.script_file import read_script
from producers.world.config import WorldConfig
from producers.world.world import World
from runner.ledger.run_ledger import run_ledger
from simulator.regimes import REGIMES
from simulator.simulate import SimulationPlan, simulate
from tests.dashboards.drift.line.archive import START_MS
from tests.lifecycle.retraining.test_part import week

SETTINGS = Settings(_env_file=None)
OLD, NEW = "a" * 16, "b" * 16


def test_the_script_is_a_scenario_file_whose_attacks_begin_with_the_change(tmp_path):
    plan = TimelinePlan(weeks=14)
    path = tmp_path / "script.yaml"
    path.write_text(yaml.safe_dump(msgspec.to_builtins(plan.script())))
    events = read_script(path).events
    assert {event.typology for event in events} == {attack[0] for attack in ATTACKS}
    hours = [int(event.at.removesuffix("h")) for event in events]
    assert (min(hours) // 24, max(hours) // 24) == (7 * plan.change_week, 7 * plan.weeks - 1)
    daily = [event for event in events if event.typology == "leaked_card"]
    assert len(daily) == 7 * (plan.weeks - plan.change_week)


def test_the_line_runs_for_the_weeks_asked_for_with_detector_and_retrainer(tmp_path):
    plan = TimelinePlan(weeks=2, cards=120, history_days=20, rate=10.0)
    options = options_of(tmp_path, plan, SETTINGS.model_copy(update={"world": HISTORY}))
    days = range(20, 20 + 7 * 2)
    world = World(WorldConfig(cards=120, seed=SETTINGS.seed, **HISTORY))
    assert options.seconds == sum(len(world.day(day).transactions.ts) for day in days) / 10.0
    assert (options.retrain_on, options.promote_after) == (("drift",), "7d")


@pytest.fixture(scope="module")
def decided(good_model, world_history, tmp_path_factory):
    """A simulated run of nine days with its registry."""
    out = tmp_path_factory.mktemp("timeline") / "run"
    simulate(SimulationPlan(world_history, REGIMES["real-time"], out, 9, good_model), SETTINGS)
    version = add_version(good_model, out / "models")[0].version
    return out, version


def test_the_weeks_money_adds_up_to_the_ledger_of_the_run(decided):
    run, version = decided
    history = read_history(run / "history").manifest
    by_week = ledger_by_week(run, SETTINGS, history.end_ms, 1_000)
    total = run_ledger(run, SETTINGS).total
    assert sorted(by_week) == [0, 1]
    sums = {kind: sum(part[kind] for part in by_week.values()) for kind in by_week[0]}
    assert (sums["payments"], sums["frauds"]) == (total.payments.count, total.at_stake.count)
    assert sums["fraud_paid"] == total.fraud_paid_cents
    assert sums["insult"] + sums["friction"] + sums["review"] == total.net_loss_cents - total.fraud_paid_cents
    costs = costs_by_week(run, run / "models", (version, version), history.end_ms, 1_000)
    assert sorted(costs) == [0, 1]
    assert all(first == last > 0 for first, last in costs.values())


def job(work, now_ms, result, trial=None):
    folder = work / str(now_ms)
    folder.mkdir(parents=True)
    plan = RetrainingPlan(
        run="", registry="", now_ms=now_ms, days=90, trigger="drift: area of score", promote=False, parent=OLD
    )
    write_json(folder / "plan.json", plan)
    RetrainingJob(folder).finish(result)
    if trial is not None:
        write_json(folder / TRIAL_FILE, trial)


def test_what_happened_is_read_from_what_the_parts_left_in_order_of_time(tmp_path):
    figures = GateFigures(payments=9, known_frauds=1, champion=5.0, difference=-2.4, low=-5.0, high=0.0)
    at = [START_MS + n * WEEK_MS for n in range(20)]
    job(tmp_path, at[15], RetrainingResult(status="rejected", reason="it costs +2"))
    ended = ShadowTrial(
        version=NEW, champion=OLD, began_ms=at[17], status="promoted", ended_ms=at[18], figures=figures
    )
    job(tmp_path, at[16], RetrainingResult(status="shadow", version=NEW), ended)
    running = ShadowTrial(version=NEW, champion=OLD, began_ms=at[19])
    job(tmp_path, at[18] + 1, RetrainingResult(status="shadow", version=NEW), running)
    weeks = [week(11), week(12, beyond=["rate of fraud known in 7 days"]), week(13)]
    marks = marks_of(weeks, tmp_path, at[11])
    assert [(mark.kind, mark.at_ms) for mark in marks] == [
        ("change", at[11]), ("alarm", at[13]), ("retraining", at[15]), ("rejected", at[15]),
        ("retraining", at[16]), ("shadow", at[17]), ("promotion", at[18]), ("retraining", at[18] + 1),
        ("shadow", at[19]),
    ]  # fmt: skip
    assert marks[1].text == "rate of fraud known in 7 days"
    assert marks[6].text == "-2 cents for 1,000 payments on trial"


@pytest.fixture
def played():
    losses = [3_000] * 11 + [9_000] * 7 + [4_000] * 6
    weeks = [
        TimelineWeek(
            number=n, start_ms=START_MS + n * WEEK_MS, payments=100, frauds=5, fraud_paid=100 * loss - 600,
            insults=300, friction=200, reviews=100, first_champion=90_000, last_champion=40_000,
        )
        for n, loss in enumerate(losses)
    ]  # fmt: skip
    kinds = (
        ("change", 11),
        ("alarm", 13),
        ("alarm", 14),
        ("retraining", 15),
        ("shadow", 17),
        ("promotion", 18),
    )
    marks = [TimelineMark(at_ms=START_MS + n * WEEK_MS, kind=kind, text="<why>") for kind, n in kinds]
    return Timeline(
        start_ms=START_MS, cards=1_000, rate=300.0, speed=13_000.0, wall_seconds=900.0, p99_ms=40.0, lost=0,
        parity_mismatches=0, first_champion=OLD, last_champion=NEW, weeks=weeks, marks=marks,
    )  # fmt: skip


def test_the_text_says_what_it_came_to(played):
    lines = list(summary_lines(played))
    assert "net loss before the change: 3,000 per 1,000 cards and week" in lines
    assert "net loss until the promotion: 9,000 per 1,000 cards and week" in lines
    assert "net loss after it: 4,000 per 1,000 cards and week" in lines
    assert "alarm       week  13.0  <why> (1 more)" in lines
    assert max(map(len, lines)) <= 80


def test_the_drawing_has_every_week_and_names_each_mark_once(played):
    svg = timeline_svg(played)
    root = ElementTree.fromstring(svg)
    texts = [element.text for element in root.iter() if element.tag.endswith("text")]
    for name in ("change", "alarm, 1 more", "retraining", "shadow", "promotion"):
        assert texts.count(name) == 1, name
    assert len(re.findall(r"week \d+: net loss", svg)) == len(played.weeks)
    assert "<why>" not in svg


def test_bad_input_is_one_line(tmp_path):
    (tmp_path / "out" / "run").mkdir(parents=True)
    words = ["model", "timeline", "--out", str(tmp_path / "out")]
    error = CliRunner().invoke(build(), words).exception
    assert isinstance(error, FraudsimError)
    assert "the run in it has not ended; remove it, or name another" in str(error)
    (tmp_path / "file").write_text("")
    error = CliRunner().invoke(build(), [*words[:3], str(tmp_path / "file")]).exception
    assert isinstance(error, FraudsimError)
    assert "\n" not in str(error)
