"""A whole line that Spark folds: under load, with its driver killed, and as a live micro-batch."""

import pytest

from fraudsim.settings import variable
from runner.line.options import LineOptions
from simulator.proof.lagged_job import compare_with_batches
from testing.rigs.live_line import check_state_equals_log, kill, run_line, wait_for_decisions
from tests.stream_features.offline.spark_mark import needs_spark

pytestmark = [pytest.mark.stack, pytest.mark.long, needs_spark]


def test_500_a_second_with_the_driver_killed_lose_and_double_nothing(tmp_path, prepared, line_settings):
    def kill_the_driver(line, observer):
        for _ in range(2):
            wait_for_decisions(line, observer, observer.tally.decisions + 3_000, 300)
            kill(line, "worker")

    options = LineOptions(
        tmp_path / "run", seconds=40, rate=500, cards=800, reuse=prepared, engine="spark", trigger="1s"
    )
    summary = run_line(options, line_settings, kill_the_driver, check_state_equals_log)
    assert summary["sent"] > 15_000
    assert (summary["lost"], summary["duplicated"], summary["dead_lettered"]) == (0, 0, 0)
    assert summary["restarts"]["worker"] == 2
    assert summary["parity"]["mismatches"] == 0
    assert summary["parity"]["vectors"] == summary["sent"]


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
