"""A whole line that Spark folds: under load, with driver and executors killed, and as a live micro-batch."""

import os
import signal
from contextlib import suppress

import psutil
import pytest
from redis import Redis

from fraudsim.polling import poll_until
from fraudsim.settings import variable
from runner.line.line import Line
from runner.line.options import LineOptions
from simulator.proof.lagged_job import compare_with_batches
from stream_features.store.keys import watermark_key
from stream_features.store.watermark import decode_watermark
from testing.rigs.live_line import check_state_equals_log, kill, run_line, wait_for_decisions
from testing.rigs.spark_cluster import SparkCluster, spark_cluster
from tests.stream_features.offline.spark_mark import needs_spark

pytestmark = [pytest.mark.stack, pytest.mark.long, needs_spark]
PATIENCE_S = 300


def assert_nothing_lost_or_doubled(summary):
    assert summary["sent"] > 15_000
    assert (summary["lost"], summary["duplicated"], summary["dead_lettered"]) == (0, 0, 0)
    assert summary["parity"]["mismatches"] == 0
    assert summary["parity"]["vectors"] == summary["sent"]


def test_500_a_second_with_the_driver_killed_lose_and_double_nothing(tmp_path, prepared, line_settings):
    def kill_the_driver(line, observer):
        for _ in range(2):
            wait_for_decisions(line, observer, observer.tally.decisions + 3_000, PATIENCE_S)
            kill(line, "worker")

    options = LineOptions(
        tmp_path / "run", seconds=40, rate=500, cards=800, reuse=prepared, engine="spark", trigger="1s"
    )
    summary = run_line(options, line_settings, kill_the_driver, check_state_equals_log)
    assert_nothing_lost_or_doubled(summary)
    assert summary["restarts"]["worker"] == 2


def test_500_a_second_with_executors_killed_in_mid_batch_lose_and_double_nothing(
    tmp_path, prepared, line_settings
):
    with spark_cluster(tmp_path / "cluster") as cluster:

        def kill_executors(line, observer):
            for _ in range(2):
                wait_for_decisions(line, observer, observer.tally.decisions + 2_000, PATIENCE_S)
                assert poll_until(lambda: len(cluster.executors()) == 2, PATIENCE_S)
                kill_an_executor_in_mid_batch(line, cluster)

        options = LineOptions(
            tmp_path / "run", seconds=90, rate=500, cards=800, reuse=prepared, engine="spark", trigger="1s",
            master=cluster.url,
        )  # fmt: skip
        summary = run_line(options, line_settings, kill_executors, check_state_equals_log)
    assert_nothing_lost_or_doubled(summary)
    assert summary["restarts"]["worker"] == 0


def kill_an_executor_in_mid_batch(line: Line, cluster: SparkCluster) -> None:
    """Kill -9 one of two executors while some slots have a batch and others have not.

    All are halted first, so that a look at Redis tells. Once they go on, the killed one's Python processes
    are as zombies that may still write.
    """

    def halted_in_mid_batch() -> bool:
        if not differ():
            return False
        processes = with_descendants(cluster.executors())
        send(processes, signal.SIGSTOP)
        if differ():
            return True
        send(processes, signal.SIGCONT)
        return False

    def differ() -> bool:
        """Whether the slots are folded to different offsets."""
        values = redis.mget([watermark_key(slot) for slot in range(line.settings.slots)])
        return len({decode_watermark(value).offsets for value in values}) > 1

    with Redis.from_url(line.settings.redis_url) as redis:
        assert poll_until(halted_in_mid_batch, PATIENCE_S, every_s=0.001)
    processes = with_descendants(cluster.executors())
    os.kill(cluster.executors()[0].pid, signal.SIGKILL)
    send(processes, signal.SIGCONT)


def with_descendants(processes: list[psutil.Process]) -> list[psutil.Process]:
    descendants = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            descendants += process.children(recursive=True)
    return [*processes, *descendants]


def send(processes: list[psutil.Process], number: int) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def test_a_minute_batch_agrees_with_the_fast_forwards_micro_batch(
    tmp_path, prepared, line_settings, monkeypatch
):
    monkeypatch.setenv(variable("unfolded_log"), "false")
    options = LineOptions(
        tmp_path / "run", seconds=420, rate=20, cards=800, reuse=prepared, engine="spark", trigger="1m",
        null_seconds=0,
    )  # fmt: skip
    summary = run_line(options, line_settings)
    assert (summary["lost"], summary["duplicated"], summary["parity"]["mismatches"]) == (0, 0, 0)
    job = compare_with_batches(options.run_dir, line_settings, 60_000)
    assert job.transactions > 7_000
    assert job.flagged.agrees, job
    assert job.score.agrees, job
