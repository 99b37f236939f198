"""Processes that stand still and go on: SIGSTOP, as a laptop's sleep or a frozen container does it."""

import os
import signal
import time

import pytest

from fraudsim.archive.log_files import read_log
from fraudsim.log.topics import DEAD_LETTERS, LABELS
from runner.line.options import LineOptions
from testing.rigs.live_line import check_state_equals_log, run_line, wait_for_decisions

pytestmark = [pytest.mark.stack, pytest.mark.long]
EVERY = ("worker", "scorer", "archiver", "labels", "producer")


def pause(line, names, seconds):
    pids = [line.supervisor.pid(name) for name in names]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(seconds)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize(
    ("names", "pause_s"),
    [
        pytest.param(EVERY, 5, id="each for 5 s"),
        pytest.param(EVERY, 140, id="each for 140 s"),
        pytest.param(("producer",), 140, id="the producer for 140 s"),
        pytest.param(("labels",), 140, id="the label feed for 140 s"),
    ],
)
def test_after_a_pause_everything_is_decided_and_every_label_sent_counts(
    tmp_path, prepared, line_settings, names, pause_s
):
    def pause_midway(line, observer):
        wait_for_decisions(line, observer, 150)
        pause(line, names, pause_s)

    seconds = 6 if pause_s < 100 else 40
    options = LineOptions(tmp_path / "run", seconds=seconds, rate=100, cards=800, reuse=prepared)
    summary = run_line(options, line_settings, pause_midway, check_state_equals_log)
    print(summary["restarts"], summary["labels"], summary["decided"])
    assert (summary["lost"], summary["duplicated"]) == (0, 0)
    assert summary["decided"] == summary["sent"] > 0.9 * 100 * seconds
    assert summary["parity"]["mismatches"] == 0
    assert "labels" not in summary["restarts"]
    assert summary["labels"]["undecided"] == 0
    # A label that was on its way in the pause is a dead letter, is sent again, and counts once.
    labels = read_log(tmp_path / "run", LABELS, ["partition", "offset", "tx_id", "source", "is_fraud"])
    letters = read_log(tmp_path / "run", DEAD_LETTERS, ["letter_topic", "letter_partition", "letter_offset"])
    dead = {(row["letter_partition"], row["letter_offset"]) for row in letters.to_pylist()}
    assert set(letters["letter_topic"].to_pylist()) <= {LABELS}
    valid = [row for row in labels.to_pylist() if (row["partition"], row["offset"]) not in dead]
    keys = [(row["tx_id"], row["source"], row["is_fraud"]) for row in valid]
    assert len(keys) == len(set(keys)) == sum(summary["labels"]["sent"].values()) > 0
    assert {(row["tx_id"], row["source"], row["is_fraud"]) for row in labels.to_pylist()} == set(keys)
