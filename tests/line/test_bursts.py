"""Bursts, replayed live: ten transactions of one card within 10 ms, equal timestamps among them.

Every served vector must equal its recomputation from exactly the log prefix that its decision names,
also while the worker is stopped, and with the scorer killed meanwhile.
"""

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
from stream_features.catalogue.features import NAMES
from testing.rigs.live_line import check_state_equals_log, kill, run_line, wait_for_decisions
from testing.samples.burst_file import LIVE_DAYS, count_live_rows, write_bursts

pytestmark = pytest.mark.stack
LIVE_SECONDS = 12.0
SPEED = LIVE_DAYS * 86_400 / LIVE_SECONDS


@pytest.fixture(scope="module")
def bursts(tmp_path_factory):
    return write_bursts(tmp_path_factory.mktemp("bursts") / "bursts.parquet")


@pytest.fixture(scope="module")
def prepared_bursts(bursts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared-bursts")
    replay_history(bursts, folder / "history")
    train_model(folder / "history", folder / "model", Settings(_env_file=None, label_gap_days=1))
    return folder


def options(run, bursts, prepared):
    return LineOptions(run, seconds=None, replay=bursts, speed=SPEED, reuse=prepared)


def check_summary(summary, expected):
    assert summary["sent"] == summary["decided"] == expected
    assert (summary["lost"], summary["duplicated"], summary["dead_lettered"]) == (0, 0, 0)
    parity = summary["parity"]
    assert (parity["vectors"], parity["mismatches"], parity["by_brute_force"]) == (expected, 0, 200)


def check_bursts_in_features(run):
    """Assert that the features count the bursts, whatever part of them the worker had folded."""
    feature_index = NAMES.index("card_count_5m")
    counts = [row[feature_index] for row in read_log(run, DECISIONS, ["features"])["features"].to_pylist()]
    assert max(counts) >= 8


@pytest.mark.long
def test_bursts_are_decided_once_on_exact_features(tmp_path, bursts, prepared_bursts, line_settings):
    run = tmp_path / "run"
    summary = run_line(
        options(run, bursts, prepared_bursts),
        line_settings,
        before_close=check_state_equals_log,
        brute_force=200,
    )
    check_summary(summary, count_live_rows(bursts))
    check_bursts_in_features(run)


def test_bursts_stay_exact_while_the_worker_stands_still_and_the_scorer_is_killed(
    tmp_path, bursts, prepared_bursts, line_settings
):
    def halt_worker_and_kill_scorer(line, observer):
        wait_for_decisions(line, observer, 300)
        worker = line.supervisor.pid("worker")
        os.kill(worker, signal.SIGSTOP)
        try:
            halted_s = time.monotonic()
            wait_for_decisions(line, observer, observer.tally.decisions + 200)
            line.wait_for("the state to age", lambda: time.monotonic() > halted_s + 1.5)
            wait_for_decisions(line, observer, observer.tally.decisions + 100)
            kill(line, "scorer")
            line.wait_for("5 s to pass", lambda: time.monotonic() > halted_s + 5)
        finally:
            os.kill(worker, signal.SIGCONT)

    summary = run_line(
        options(tmp_path / "run", bursts, prepared_bursts),
        line_settings,
        halt_worker_and_kill_scorer,
        check_state_equals_log,
        brute_force=200,
    )
    check_summary(summary, count_live_rows(bursts))
    assert summary["restarts"] == {"scorer": 1}
    assert summary["staleness_ms"]["p99"] > 1_000
    check_bursts_in_features(tmp_path / "run")
