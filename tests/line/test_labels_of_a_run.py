"""Labels of a live run: exactly those that follow from its decisions, even if the feed was killed."""

import pytest

from fraudsim.archive.log_files import read_log
from fraudsim.log.clock import event_time_ms, past_limit_ms
from fraudsim.log.topics import DEAD_LETTERS, DECISIONS, LABELS
from fraudsim.settings import Settings
from producers.history.reader import read_history, world_of
from producers.label_feed.feed import LabelFeed
from producers.labels.back_office import BackOffice
from producers.labels.outcome import DecidedPayment
from producers.population.columns import DAY_MS
from producers.sender import schedule
from producers.sources.world_source import WorldSource
from producers.world.settings import consequences
from runner.line.options import LineOptions
from stream_features.offline.archived_log import archived_clock
from testing.rigs.live_line import check_state_equals_log, kill, policy_at, run_line, wait_for_decisions

pytestmark = pytest.mark.stack
SECONDS = 8.0


def expected(run, settings, speed):
    """Transaction, source and verdict of every label, derived from the archived decisions."""
    history = read_history(run / "history")
    world = world_of(history)
    source = WorldSource(world, history.manifest.days)
    office = BackOffice(consequences(settings), world.config.seed, 1_000 * DAY_MS)
    end_ms = schedule.end_ms(source.start_ms, speed, SECONDS)
    feed = LabelFeed(source, office, settings.partitions, end_ms, past_limit_ms(speed))
    names = [name for name in DecidedPayment.__struct_fields__ if name != "source_offset"]
    decisions = read_log(run, DECISIONS, ["partition", "offset", "source_offset", *names])
    for row in sorted(decisions.to_pylist(), key=lambda row: (row["ts"], row["offset"])):
        fields = {name: row[name] for name in (*names, "source_offset")}
        feed.add_decision(row["partition"], DecidedPayment(**fields))
    labels = feed.due_labels(int(end_ms), archived_clock(run).current, 0)
    return {(label.tx_id, label.source, label.is_fraud) for label in labels}


def test_a_run_s_labels_are_those_that_follow_from_its_decisions(tmp_path, prepared, monkeypatch):
    # More analysts than reviews: no review waits, so that their order does not matter.
    monkeypatch.setenv("FRAUDSIM_CONSEQUENCES__ANALYSTS", "100")
    monkeypatch.setenv("FRAUDSIM_CONSEQUENCES__REVIEW_MINUTES", "0.01")
    settings = Settings(_env_file=None, policy=policy_at(tmp_path / "every_action", 0.004, 0.01, 0.03))
    run = tmp_path / "run"
    options = LineOptions(run, seconds=SECONDS, rate=250, cards=800, null_seconds=0, reuse=prepared)

    def kill_the_feed(line, observer):
        wait_for_decisions(line, observer, 700)
        kill(line, "labels")

    summary = run_line(options, settings, kill_the_feed, check_state_equals_log)
    assert (summary["lost"], summary["duplicated"], summary["parity"]["mismatches"]) == (0, 0, 0)
    assert summary["restarts"] == {"labels": 1}
    # Denied step-ups and analysts' verdicts block cards, and every block is found again from the log.
    assert summary["blocks"]["blocked"] > 0
    assert summary["blocks"]["mismatches"] == 0
    assert summary["blocks"]["decisions"] > 1_000
    labels = read_log(run, LABELS).to_pylist()
    sent = [(label["tx_id"], label["source"], label["is_fraud"]) for label in labels]
    assert len(sent) == len(set(sent)) > 20
    expected_labels = expected(run, settings, summary["speed"])
    assert set(sent) <= expected_labels
    # A decision after the end of event time is reviewed after it, and its label is not sent.
    decided_at = {d["tx_id"]: d["ts"] for d in read_log(run, DECISIONS).to_pylist()}
    last_ms = max(decided_at.values()) - 2_000 * summary["speed"]
    for tx_id, source, _ in expected_labels - set(sent):
        assert source == "analyst"
        assert decided_at[tx_id] > last_ms
    assert read_log(run, DEAD_LETTERS).num_rows == 0
    assert sum(summary["labels"]["sent"].values()) == len(sent)
    assert all(summary["actions"].values()), summary["actions"]
    declined = {d["tx_id"] for d in read_log(run, DECISIONS).to_pylist() if d["action"] == "decline"}
    assert not declined & {tx_id for tx_id, _, _ in sent}
    clock = archived_clock(run).current
    assert all(event_time_ms(clock, label["broker_ts_ms"] + 1) >= label["known_at"] for label in labels)
