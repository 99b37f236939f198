"""A run that somebody controls while it runs: attacks, a drift, another rate, a pause, parts killed."""

import time

import msgspec
import pytest

from fraudsim.archive.log_files import read_log
from fraudsim.log.events import RunControl
from fraudsim.log.topics import CONTROL, DECISIONS, LABELS, TRANSACTIONS, TRUTH
from fraudsim.polling import poll_until
from fraudsim.settings import Settings
from producers.controls.control_log import append_control
from producers.controls.controlled_source import ControlledSource
from producers.controls.controls import Controls
from producers.controls.drift import Drifts
from producers.history.reader import read_history, world_of
from producers.sources.world_source import WorldSource
from runner.line.options import LineOptions
from testing.rigs.live_line import check_state_equals_log, event_now_ms, kill, run_line, wait_for_decisions

pytestmark = pytest.mark.stack


def controls_of(run):
    controls = Controls()
    for row in read_log(run, CONTROL).to_pylist():
        if row["error"] is None:
            fields = {name: row[name] for name in RunControl.__struct_fields__ if row[name] is not None}
            controls.add(RunControl(**fields))
    return controls


def planned(run, speed, seconds):
    """Every record that the stream should have had, by id, with drifted amounts."""
    history = read_history(run / "history")
    world, controls = world_of(history), controls_of(run)
    source = ControlledSource(WorldSource(world, history.manifest.days), controls.placements, world)
    drifts, items = Drifts(), {TRANSACTIONS: {}, TRUTH: {}}
    for placement in controls.placements:
        drifts.add(placement)
    for item in source.items():
        if item.due_ms >= source.start_ms + seconds * speed * 1000:
            return items
        if item.topic in items:
            items[item.topic][item.event.tx_id] = drifts.applied(item.event)
    raise AssertionError("the source ended")


def test_what_was_asked_is_sent_labelled_counted_and_repeated_by_a_sender_that_was_killed(tmp_path, prepared):
    run = tmp_path / "run"
    options = LineOptions(run, seconds=12, rate=120, cards=800, null_seconds=0, reuse=prepared, controls=True)

    def control_it(line, observer):
        asked = 0

        def ask(kind, **fields):
            nonlocal asked
            asked += 1
            control = RunControl(control_id=f"c{asked}", kind=kind, ts=event_now_ms(line), **fields)
            append_control(line.settings.kafka_bootstrap, control)

        wait_for_decisions(line, observer, 100)
        ask("attack", typology="card_testing", campaigns=6, camouflage=0.0, tempo=1.0)
        ask("rate", share=0.5)
        ask("drift", amounts=3.0)
        wait_for_decisions(line, observer, 250)
        kill(line, "producer")
        ask("attack", typology="bin_attack", campaigns=2, camouflage=0.0, tempo=5.0)
        wait_for_decisions(line, observer, 400)
        ask("pause")
        assert poll_until(lambda: stands_still(observer), 30, every_s=0.5)
        kill(line, "producer")  # and starts into the pause
        ask("kill", part="worker")
        assert poll_until(lambda: clock_stands(line), 30, every_s=0.1)
        assert not line.done("producer")
        ask("resume")
        ask("rate", share=1.0)
        ask("stop", part="worker", seconds=1.0)

    def clock_stands(line):
        before = event_now_ms(line)
        time.sleep(0.4)
        return event_now_ms(line) == before

    def stands_still(observer):
        before = observer.tally.decisions
        time.sleep(0.7)
        return observer.tally.decisions == before

    summary = run_line(options, Settings(_env_file=None), control_it, check_state_equals_log, brute_force=5)
    assert (summary["lost"], summary["duplicated"], summary["parity"]["mismatches"]) == (0, 0, 0)
    assert summary["blocks"]["mismatches"] == 0
    assert summary["restarts"]["producer"] == 2
    assert summary["restarts"]["worker"] == 1
    assert summary["controls"] == {
        "attack": 2, "drift": 1, "kill": 1, "pause": 1, "placed": 3, "rate": 2, "resume": 1, "stop": 1,
    }  # fmt: skip
    plan = planned(run, summary["speed"], options.seconds)
    rows = {row["tx_id"]: row for row in read_log(run, TRANSACTIONS).to_pylist()}
    assert rows.keys() == plan[TRANSACTIONS].keys()
    assert summary["sent"] == len(rows)
    for tx_id, tx in plan[TRANSACTIONS].items():
        assert all(rows[tx_id][name] == value for name, value in msgspec.structs.asdict(tx).items()
                   if name not in ("sent_at", "schema_version"))  # fmt: skip
    truths = read_log(run, TRUTH).to_pylist()
    assert {row["tx_id"] for row in truths} == plan[TRUTH].keys()
    launched = {row["tx_id"] for row in truths if row["campaign_id"].split("-")[0] in ("c1", "c5", "c4")}
    assert len(launched) > 20
    decided = {row["tx_id"]: row for row in read_log(run, DECISIONS).to_pylist()}
    assert launched <= decided.keys()
    labelled = {row["tx_id"]: row for row in read_log(run, LABELS).to_pylist() if row["tx_id"] in launched}
    assert labelled, "somebody reports it"
    for tx_id, label in labelled.items():
        assert label["amount_cents"] == rows[tx_id]["amount_cents"]
