"""Worker and scorer held 5 s apart, either ahead, on timestamps of whole seconds: features stay exact.

A worker ahead has folded transactions that the scorer has not decided, the one at hand among them and
others of its very second; a worker behind leaves them all to the scorer's tail.
"""

import json
import os
import signal
import time

import pytest

from fraudsim.archive.log_files import read_log
from fraudsim.log.topics import DECISIONS
from fraudsim.settings import Settings
from model.training.train import train_model
from producers.datasets.registry import replay_history
from runner.line.line import LineOptions
from testing.rigs.live_line import run_line, state_equals_the_log, wait_until_seen
from testing.samples.burst_file import LIVE_DAYS, live_rows, write_bursts

pytestmark = [pytest.mark.stack, pytest.mark.long]
APART_S, LIVE_SECONDS = 5.0, 24.0


def hold(line, name):
    """Stop a process for a while; the log goes on."""
    pid = line.supervisor.pid(name)
    os.kill(pid, signal.SIGSTOP)
    try:
        until = time.monotonic() + APART_S
        line.wait_for("the time apart", lambda: time.monotonic() > until)
    finally:
        os.kill(pid, signal.SIGCONT)


def test_worker_and_scorer_held_apart_give_exact_features(tmp_path, line_settings):
    path = write_bursts(tmp_path / "bursts.parquet", whole_seconds=True)
    prepared = tmp_path / "prepared"
    replay_history(path, prepared / "history")
    train_model(prepared / "history", prepared / "model", Settings(_env_file=None, label_gap_days=1))
    speed = LIVE_DAYS * 86_400 / LIVE_SECONDS

    def apart(line, observer):
        wait_until_seen(line, observer, 200)
        hold(line, "scorer")
        wait_until_seen(line, observer, observer.tally.seen + 400)
        hold(line, "worker")

    summary = run_line(
        LineOptions(tmp_path / "run", seconds=None, replay=path, speed=speed, reuse=prepared),
        line_settings,
        apart,
        state_equals_the_log,
        brute_force=500,
    )
    expected = live_rows(path)
    assert summary["sent"] == summary["decided"] == expected
    assert (summary["lost"], summary["duplicated"], summary["restarts"]) == (0, 0, {})
    parity = summary["parity"]
    assert (parity["vectors"], parity["mismatches"], parity["by_brute_force"]) == (expected, 0, 500)
    assert summary["latency_ms"]["max"] > APART_S * 900
    assert summary["staleness_ms"]["p99"] > APART_S * 500

    decided = read_log(tmp_path / "run", DECISIONS, ["source_partition", "source_offset", "prefix"])
    ahead = 0
    for row in decided.to_pylist():
        folded = [offsets[row["source_partition"]] for offsets in json.loads(row["prefix"])["slots"].values()]
        ahead += max(folded) >= row["source_offset"]
    assert ahead > expected / 20, "the worker was ahead of the scorer"
