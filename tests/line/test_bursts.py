"""Bursts, replayed live: ten transactions of one card within 10 ms, equal timestamps among them.

Every served vector must equal its recomputation from exactly the log prefix that its decision names,
also while the worker stands still, and with the scorer killed meanwhile.
"""

import os
import signal
import time
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from driving import kill, run_line, state_equals_the_log, wait_until_seen

from fraudsim.archive import read_log
from fraudsim.settings import Settings
from fraudsim.topics import DECISIONS
from model.train import train_model
from producers.datasets.known import replay_history
from runner.line import LineOptions
from stream_features.catalogue import NAMES

pytestmark = pytest.mark.stack
DAYS, CUSTOMERS, TERMINALS = 12, 60, 25
LIVE_DAYS, LIVE_SECONDS = DAYS / 3, 12.0
SPEED = LIVE_DAYS * 86_400 / LIVE_SECONDS


@pytest.fixture(scope="module")
def bursts(tmp_path_factory):
    """A file in the Handbook's layout whose transactions come in bursts."""
    rng = np.random.default_rng(5)
    start = datetime(2018, 4, 1)
    rows = []
    for _ in range(DAYS * 70):
        at = start + timedelta(seconds=float(rng.uniform(0, DAYS * 86_400 - 60)))
        customer, fraud = int(rng.integers(CUSTOMERS)), int(rng.random() < 0.06)
        gaps = rng.choice([0, 1, 1, 2], 10) if rng.random() < 0.5 else rng.choice([0, 40_000], 2)
        for gap in gaps:
            at += timedelta(milliseconds=int(gap))
            terminal = int(rng.integers(TERMINALS)) if rng.random() < 0.5 else 0
            amount = round(float(rng.lognormal(5.5 if fraud else 3.5, 0.6)), 2)
            rows.append((at, customer, terminal, amount, fraud))
    rows.sort(key=lambda row: row[0])
    times, customers, terminals, amounts, frauds = zip(*rows, strict=True)
    seconds = [int((t - start).total_seconds()) for t in times]
    table = pa.table(
        {
            "TRANSACTION_ID": pa.array(range(len(rows)), pa.int64()),
            "TX_DATETIME": pa.array(times, pa.timestamp("ms")),
            "CUSTOMER_ID": pa.array([str(c) for c in customers]),
            "TERMINAL_ID": pa.array([str(t) for t in terminals]),
            "TX_AMOUNT": pa.array(amounts, pa.float64()),
            "TX_TIME_SECONDS": pa.array(seconds, pa.int64()),
            "TX_TIME_DAYS": pa.array([s // 86_400 for s in seconds], pa.int64()),
            "TX_FRAUD": pa.array(frauds, pa.int64()),
            "TX_FRAUD_SCENARIO": pa.array([3 * f for f in frauds], pa.int64()),
        }
    )
    path = tmp_path_factory.mktemp("bursts") / "bursts.parquet"
    pq.write_table(table, path)
    return path


@pytest.fixture(scope="module")
def prepared_bursts(bursts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared-bursts")
    replay_history(bursts, folder / "history")
    train_model(folder / "history", folder / "model", Settings(_env_file=None, label_gap_days=1))
    return folder


def options(run, bursts, prepared):
    return LineOptions(run, seconds=None, replay=bursts, speed=SPEED, reuse=prepared)


def live_rows(bursts):
    days = pq.read_table(bursts)["TX_TIME_DAYS"].to_numpy()
    return int((days >= DAYS - LIVE_DAYS).sum())


def assert_whole(summary, expected):
    assert summary["sent"] == summary["decided"] == expected
    assert (summary["lost"], summary["duplicated"], summary["dead_lettered"]) == (0, 0, 0)
    parity = summary["parity"]
    assert (parity["vectors"], parity["mismatches"], parity["by_brute_force"]) == (expected, 0, 200)


def assert_the_tail_saw_the_bursts(run):
    """Whatever Faust had folded by then."""
    count = NAMES.index("card_count_5m")
    counts = [row[count] for row in read_log(run, DECISIONS, ["features"])["features"].to_pylist()]
    assert max(counts) >= 8


@pytest.mark.long
def test_bursts_are_decided_once_on_exact_features(tmp_path, bursts, prepared_bursts, line_settings):
    run = tmp_path / "run"
    summary = run_line(
        options(run, bursts, prepared_bursts),
        line_settings,
        before_close=state_equals_the_log,
        brute_force=200,
    )
    assert_whole(summary, live_rows(bursts))
    assert_the_tail_saw_the_bursts(run)


def test_bursts_stay_exact_while_the_worker_stands_still_and_the_scorer_is_killed(
    tmp_path, bursts, prepared_bursts, line_settings
):
    def halt_worker_and_kill_scorer(line, observer):
        wait_until_seen(line, observer, 300)
        worker = line.supervisor.pid("worker")
        os.kill(worker, signal.SIGSTOP)
        try:
            halted_at = time.monotonic()
            wait_until_seen(line, observer, observer.tally.seen + 200)
            line.wait_for("the state to age", lambda: time.monotonic() > halted_at + 1.5)
            wait_until_seen(line, observer, observer.tally.seen + 100)
            kill(line, "scorer")
            line.wait_for("5 s to pass", lambda: time.monotonic() > halted_at + 5)
        finally:
            os.kill(worker, signal.SIGCONT)

    summary = run_line(
        options(tmp_path / "run", bursts, prepared_bursts),
        line_settings,
        halt_worker_and_kill_scorer,
        state_equals_the_log,
        brute_force=200,
    )
    assert_whole(summary, live_rows(bursts))
    assert summary["restarts"] == {"scorer": 1}
    assert summary["staleness_ms"]["p99"] > 1_000
    assert_the_tail_saw_the_bursts(tmp_path / "run")
