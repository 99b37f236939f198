"""The live page beside a run that it controls: attacks, a drift, another rate, a pause, parts killed.

Its figures are the summary's, what was asked for is sent, labelled and counted, and a producer that is killed
meanwhile sends the same; a worker that ends is red, then back.
"""

import json
import re
import time
import urllib.request

import msgspec
import pytest

from fraudsim.addresses import open_direct
from fraudsim.archive.log_files import read_log
from fraudsim.log.events import RunControl
from fraudsim.log.topics import CONTROL, DECISIONS, LABELS, TRANSACTIONS, TRUTH
from fraudsim.polling import poll_until
from fraudsim.settings import Settings
from producers.controls.controlled_source import ControlledSource
from producers.controls.controls import Controls
from producers.controls.drift import Drifts
from producers.history.reader import read_history, world_of
from producers.sources.world_source import WorldSource
from runner.line.options import LineOptions
from testing.rigs.live_line import (
    check_state_equals_log,
    event_now_ms,
    kill,
    policy_at,
    run_line,
    wait_for_decisions,
)
from tests.line.page_figures import check_figures, check_money

pytestmark = pytest.mark.stack


class Reader:
    """Reads the page and asks for controls, by plain HTTP, as the browser does."""

    def __init__(self, line):
        self._line = line

    def figures(self):
        with open_direct(self._line.page_address, timeout_s=10) as reply:
            html = reply.read().decode()
        values = dict(re.findall(r'<data data-figure="(\w+)" value="([^"]*)">', html))
        statuses = dict(re.findall(r'data-box="(\w+)" data-status="(\w+)"', html))
        return {name: float(value) for name, value in values.items()}, statuses

    def worker_is(self, status):
        return lambda: self.figures()[1]["worker"] == status

    def ask(self, kind, **fields):
        address, token = self._line.page_address.split("#control=")
        headers = {"Content-Type": "application/json", "X-Fraudsim-Control": token}
        body = json.dumps({"kind": kind, **fields}).encode()
        request = urllib.request.Request(address.replace("/?", "/controls?"), body, headers)
        with open_direct(request, timeout_s=40) as reply:
            return json.load(reply)["control_id"]


def stands_still(value):
    before = value()
    time.sleep(0.6)
    return value() == before


def controls_of(run):
    controls = Controls()
    for row in read_log(run, CONTROL).to_pylist():
        fields = {name: row[name] for name in RunControl.__struct_fields__ if row[name] is not None}
        assert controls.add(RunControl(**fields)) is None
    return controls


def planned(run, speed, seconds):
    """Every transaction and truth that the stream should have had, by id, with drifted amounts."""
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


def test_a_run_that_the_page_controls_is_the_summary_s_and_what_was_asked_for(tmp_path, prepared):
    run, last, statuses, attacks, plan = tmp_path / "run", {}, set(), [], {}

    def control_it(line, observer):
        page, decisions = Reader(line), lambda: observer.tally.decisions
        wait_for_decisions(line, observer, 50)
        attacks.append(page.ask("attack", typology="card_testing", campaigns=6, camouflage=0.0, tempo=4))
        page.ask("rate", share=0.5)
        page.ask("drift", amounts=3.0)
        wait_for_decisions(line, observer, 150)
        page.ask("pause")  # nothing is missed meanwhile, however slow the machine is
        line.wait_for("the page to see the worker", page.worker_is("up"), 60)
        page.ask("stop", part="worker", seconds=600)
        statuses.add("down" if poll_until(page.worker_is("down"), 60, every_s=0.1) else "")
        page.ask("kill", part="worker")
        statuses.add("up" if poll_until(page.worker_is("up"), 90, every_s=0.2) else "")
        assert poll_until(lambda: stands_still(decisions), 60, every_s=0)
        kill(line, "producer")  # in the middle of the attack, and starts into the pause
        assert poll_until(lambda: stands_still(lambda: event_now_ms(line)), 60, every_s=0)
        assert not line.done("producer")
        page.ask("resume")
        attacks.append(page.ask("attack", typology="bin_attack", camouflage=0.0, tempo=20))
        page.ask("rate", share=1.0)
        line.wait_for("the producer", lambda: line.done("producer"), 180)
        line.wait_for("every decision", lambda: observer.tally.stream_decisions >= line.planned(), 90)
        line.wait_for("the archive of the controls", lambda: len(controls_of(run).placements) == 3)
        plan.update(planned(run, line.speed, options.seconds))  # while the page waits for the truth

        def all_counted():
            last.update(page.figures()[0])
            everything = last["decided"] == line.planned() == last["sent"] == last["lagged_decided"]
            return everything and last["ledger_payments"] == line.planned()

        assert poll_until(all_counted, 120, every_s=0.3), last
        last.update(page.figures()[0])

    options = LineOptions(
        run, seconds=7, rate=120, cards=800, null_seconds=0, reuse=prepared, page=True, controls=True,
        beside="1h",
    )  # fmt: skip
    # None is reviewed: a review that nobody has begun is in the summary's ledger alone.
    settings = Settings(_env_file=None, policy=policy_at(tmp_path / "policy", 0.02, 0.5, 0.5))
    summary = run_line(options, settings, control_it, check_state_equals_log, brute_force=5)
    assert statuses == {"down", "up"}
    check_figures(last, summary)
    assert last["batch_age_ms"] == 3_600_000
    # A truth that a killed producer sent anew may come when the page has counted its payment as honest.
    late = json.loads((run / "producer.json").read_text())["records"][TRUTH] - last["frauds"]
    assert late >= 0
    if not late:
        check_money(last, summary)
        assert last["real_time_net_loss_cents"] == last["net_loss_cents"]
    check_records(run, summary, plan, attacks)


def check_records(run, summary, plan, attacks):
    assert (summary["lost"], summary["duplicated"], summary["parity"]["mismatches"]) == (0, 0, 0)
    assert summary["blocks"]["mismatches"] == 0
    assert (summary["restarts"]["producer"], summary["restarts"]["worker"]) == (1, 1)
    assert summary["controls"] == {
        "attack": 2, "drift": 1, "kill": 1, "pause": 1, "placed": 3, "rate": 2, "resume": 1, "stop": 1,
    }  # fmt: skip
    rows = {row["tx_id"]: row for row in read_log(run, TRANSACTIONS).to_pylist()}
    assert rows.keys() == plan[TRANSACTIONS].keys()
    for tx_id, tx in plan[TRANSACTIONS].items():
        fields = msgspec.structs.asdict(msgspec.structs.replace(tx, sent_at=rows[tx_id]["sent_at"]))
        assert {name: rows[tx_id][name] for name in fields} == fields
    truths = {row["tx_id"]: row for row in read_log(run, TRUTH).to_pylist()}
    assert truths.keys() == plan[TRUTH].keys()
    launched = {tx_id for tx_id, row in truths.items() if row["campaign_id"].rpartition("-")[0] in attacks}
    assert len(launched) > 20
    assert launched <= {row["tx_id"] for row in read_log(run, DECISIONS).to_pylist()}
    labels = [row for row in read_log(run, LABELS).to_pylist() if row["tx_id"] in launched]
    assert labels, "somebody reports it"
    assert all(row["amount_cents"] == rows[row["tx_id"]]["amount_cents"] for row in labels)
