"""Worker and scorer held 5 s apart, in either order, on timestamps of whole seconds: features stay exact.

A worker that is ahead has folded transactions that the scorer has not decided, among them the one being
decided and others of the same second. A worker that is behind leaves them all to the scorer's unfolded log.
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
from runner.line.options import LineOptions
from testing.rigs.live_line import check_state_equals_log, run_line, wait_for_decisions
from testing.samples.burst_file import LIVE_DAYS, count_live_rows, write_bursts

pytestmark = [pytest.mark.stack, pytest.mark.long]
APART_S, LIVE_SECONDS = 5.0, 24.0


def hold(line, name):
    """Stop a process for `APART_S` seconds; the log continues."""
    pid = line.supervisor.pid(name)
    os.kill(pid, signal.SIGSTOP)
    try:
        until_s = time.monotonic() + APART_S
        line.wait_for("the time apart", lambda: time.monotonic() > until_s)
    finally:
        os.kill(pid, signal.SIGCONT)


def test_worker_and_scorer_held_apart_give_exact_features(tmp_path, line_settings):
    path = write_bursts(tmp_path / "bursts.parquet", whole_seconds=True)
    prepared = tmp_path / "prepared"
    replay_history(path, prepared / "history")
    train_model(prepared / "history", prepared / "model", Settings(_env_file=None, label_gap_days=1))
    speed = LIVE_DAYS * 86_400 / LIVE_SECONDS

    def hold_each(line, observer):
        wait_for_decisions(line, observer, 200)
        hold(line, "scorer")
        wait_for_decisions(line, observer, observer.tally.decisions + 400)
        hold(line, "worker")

    summary = run_line(
        LineOptions(tmp_path / "run", seconds=None, replay=path, speed=speed, reuse=prepared),
        line_settings,
        hold_each,
        check_state_equals_log,
        brute_force=500,
    )
    expected = count_live_rows(path)
    assert summary["sent"] == summary["decided"] == expected
    assert (summary["lost"], summary["duplicated"], summary["restarts"]) == (0, 0, {})
    parity = summary["parity"]
    assert (parity["vectors"], parity["mismatches"], parity["by_brute_force"]) == (expected, 0, 500)
    assert summary["latency_ms"]["max"] > APART_S * 900
    assert summary["staleness_ms"]["p99"] > APART_S * 500

    decided = read_log(tmp_path / "run", DECISIONS, ["source_partition", "source_offset", "prefix"])
    folded_ahead = 0
    for row in decided.to_pylist():
        folded = [offsets[row["source_partition"]] for offsets in json.loads(row["prefix"])["slots"].values()]
        folded_ahead += max(folded) >= row["source_offset"]
    assert folded_ahead > expected / 20, "the worker was ahead of the scorer"
