"""Labels of a live run: exactly those that follow from its decisions, also where the feed was killed."""

import pytest

from fraudsim.archive.log_files import read_log
from fraudsim.log.clock import event_time_ms, past_limit_ms
from fraudsim.log.topics import DEAD_LETTERS, DECISIONS, LABELS
from fraudsim.settings import Settings
from producers.history.folder import read_history, world_of
from producers.label_feed.feed import LabelFeed
from producers.labels.back_office import BackOffice, Outcome
from producers.population.columns import DAY_MS
from producers.sender import schedule
from producers.sources.world_source import WorldSource
from producers.world.settings import consequences
from runner.line.line import LineOptions
from stream_features.offline.archived_log import archived_clock
from testing.rigs.live_line import kill, policy_at, run_line, state_equals_the_log, wait_until_seen

pytestmark = pytest.mark.stack
SECONDS = 8.0


def expected(run, settings, speed):
    """Transaction, source and verdict of every label, worked out from the archived decisions."""
    history = read_history(run / "history")
    world = world_of(history)
    source = WorldSource(world, history.manifest.days)
    office = BackOffice(consequences(settings), world.config.seed, 1_000 * DAY_MS)
    end_ms = schedule.end_ms(source.start_ms, speed, SECONDS)
    feed = LabelFeed(source, office, settings.partitions, end_ms, past_limit_ms(speed))
    names = [name for name in Outcome.__struct_fields__ if name != "source_offset"]
    decisions = read_log(run, DECISIONS, ["partition", "offset", "source_offset", *names])
    for row in sorted(decisions.to_pylist(), key=lambda row: (row["ts"], row["offset"])):
        fields = {name: row[name] for name in (*names, "source_offset")}
        feed.decided(row["partition"], Outcome(**fields))
    labels = feed.due(int(end_ms), archived_clock(run).current, 0)
    return {(label.tx_id, label.source, label.is_fraud) for label in labels}


def test_a_run_s_labels_are_those_that_follow_from_its_decisions(tmp_path, prepared, monkeypatch):
    # More analysts than all reviews could need: none waits, so in which order they come does not matter.
    monkeypatch.setenv("FRAUDSIM_CONSEQUENCES__ANALYSTS", "100")
    monkeypatch.setenv("FRAUDSIM_CONSEQUENCES__REVIEW_MINUTES", "0.01")
    settings = Settings(_env_file=None, policy=policy_at(tmp_path / "every_action", 0.004, 0.01, 0.03))
    run = tmp_path / "run"
    options = LineOptions(run, seconds=SECONDS, rate=250, cards=800, null_seconds=0, reuse=prepared)

    def kill_the_feed(line, observer):
        wait_until_seen(line, observer, 700)
        kill(line, "labels")

    summary = run_line(options, settings, kill_the_feed, state_equals_the_log)
    assert (summary["lost"], summary["duplicated"], summary["parity"]["mismatches"]) == (0, 0, 0)
    assert summary["restarts"] == {"labels": 1}
    labels = read_log(run, LABELS).to_pylist()
    found = [(label["tx_id"], label["source"], label["is_fraud"]) for label in labels]
    assert len(found) == len(set(found)) > 20
    ought = expected(run, settings, summary["speed"])
    assert set(found) <= ought
    # A decision that comes in after the end of event time is reviewed after it, and its label is not sent.
    decided_at = {d["tx_id"]: d["ts"] for d in read_log(run, DECISIONS).to_pylist()}
    last_ms = max(decided_at.values()) - 2_000 * summary["speed"]
    for tx_id, source, _ in ought - set(found):
        assert source == "analyst"
        assert decided_at[tx_id] > last_ms
    assert read_log(run, DEAD_LETTERS).num_rows == 0
    assert sum(summary["labels"]["sent"].values()) == len(found)
    assert all(summary["actions"].values()), summary["actions"]
    declined = {d["tx_id"] for d in read_log(run, DECISIONS).to_pylist() if d["action"] == "decline"}
    assert not declined & {tx_id for tx_id, _, _ in found}
    clock = archived_clock(run).current
    assert all(event_time_ms(clock, label["broker_ts_ms"] + 1) >= label["known_at"] for label in labels)
