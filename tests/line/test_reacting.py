"""People who react in a live run to what stops them: the transactions sent differ from the plan."""

import pytest

from fraudsim.archive.log_files import read_log
from fraudsim.log.topics import DECISIONS, LABELS, TRANSACTIONS
from fraudsim.settings import Settings
from producers.history.reader import read_history, world_of
from producers.scenario.script_file import read_script
from producers.scenario.scripted_source import ScriptedSource
from producers.sources.reactions import RETRY_SUFFIX
from producers.sources.world_source import WorldSource
from runner.line.options import LineOptions
from testing.rigs.live_line import check_state_equals_log, kill, policy_at, run_line, wait_for_decisions

pytestmark = pytest.mark.stack
SCRIPT = """\
version: 1
events:
  - {event: attack, typology: card_testing, at: 10m, campaigns: 40, camouflage: 0.0}
  - {event: attack, typology: leaked_card, at: 10m, campaigns: 60, camouflage: 0.0}
"""


def planned(run, script, speed, seconds):
    """Every transaction that the source planned for the run, by id."""
    history = read_history(run / "history")
    world = world_of(history)
    source = ScriptedSource(WorldSource(world, history.manifest.days), read_script(script), speed, world)
    items = {}
    for item in source.items():
        if item.due_ms >= source.start_ms + seconds * speed * 1000:
            return items
        if item.topic == TRANSACTIONS:
            items[item.event.tx_id] = item
    raise AssertionError("the source ended")


def test_who_is_stopped_reacts_and_nobody_else_does(tmp_path, prepared):
    # Low thresholds decline much, so that campaigns have something to react to.
    strict = Settings(_env_file=None, policy=policy_at(tmp_path / "strict", 0.005, 0.005, 0.005))
    script, run = tmp_path / "attacks.yaml", tmp_path / "run"
    script.write_text(SCRIPT)
    options = LineOptions(
        run, seconds=10, rate=100, cards=800, null_seconds=0, reuse=prepared, script=script, reacting=True
    )

    def kill_the_producer(line, observer):
        wait_for_decisions(line, observer, 300)
        kill(line, "producer")

    summary = run_line(options, strict, kill_the_producer, check_state_equals_log)
    assert (summary["lost"], summary["duplicated"], summary["parity"]["mismatches"]) == (0, 0, 0)
    assert summary["blocks"]["mismatches"] == 0
    plan = planned(run, script, summary["speed"], options.seconds)
    rows = {row["tx_id"]: row for row in read_log(run, TRANSACTIONS).to_pylist()}
    retried = {tx_id: row for tx_id, row in rows.items() if tx_id.endswith(RETRY_SUFFIX)}
    sent = {tx_id: row for tx_id, row in rows.items() if tx_id not in retried}
    assert sent.keys() <= plan.keys()
    keys = ("card_id", "merchant_id", "amount_cents", "ts", "device_id")
    changed = {
        tx_id
        for tx_id, row in sent.items()
        if any(row[key] != getattr(plan[tx_id].event, key) for key in keys)
    }
    dropped = plan.keys() - sent.keys()
    assert changed
    assert all(plan[tx_id].campaign_id is not None for tx_id in changed)
    stopped = {d["tx_id"]: d for d in read_log(run, DECISIONS).to_pylist() if d["action"] != "approve"}
    stopped_campaigns = {plan[tx_id].campaign_id for tx_id in stopped.keys() & plan.keys()}
    assert {plan[tx_id].campaign_id for tx_id in changed} <= stopped_campaigns
    # Honest customers who were stopped try again once, or their card is used no more.
    insulted = {plan[t].event.card_id for t in stopped.keys() & plan.keys() if plan[t].campaign_id is None}
    for tx_id in dropped:
        item = plan[tx_id]
        assert item.campaign_id in stopped_campaigns or item.event.card_id in insulted
    assert len(retried) > 5
    for tx_id, row in retried.items():
        first = sent[tx_id.removesuffix(RETRY_SUFFIX)]
        assert first["tx_id"] in stopped
        assert plan[first["tx_id"]].campaign_id is None
        assert row["ts"] > first["ts"]
        assert row["amount_cents"] <= first["amount_cents"]
    assert retried.keys() <= {d["tx_id"] for d in read_log(run, DECISIONS).to_pylist()}
    # Labels describe the transactions sent, not those planned.
    for label in read_log(run, LABELS).to_pylist():
        if label["tx_id"] in sent:
            assert all(label[key] == sent[label["tx_id"]][key] for key in keys[:4]), label["tx_id"]
        assert label["tx_id"] not in dropped
