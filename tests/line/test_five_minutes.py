"""Five minutes at 1,000 transactions a second, with the worker killed in the middle: every vector exact."""

import time

import pytest

from runner.line.options import LineOptions
from testing.rigs.live_line import check_state_equals_log, kill, run_line, wait_for_decisions

pytestmark = [pytest.mark.stack, pytest.mark.long]
RATE, SECONDS = 1_000, 300


def test_parity_of_five_minutes_at_a_thousand_a_second(tmp_path, prepared, line_settings, capsys):
    times_s = {}

    def kill_the_worker(line, observer):
        wait_for_decisions(line, observer, RATE * SECONDS // 2, 600)
        kill(line, "worker")
        times_s["killed"] = time.monotonic()

    def before_close(line):
        check_state_equals_log(line)
        times_s["checked"] = time.monotonic()

    options = LineOptions(tmp_path / "run", seconds=SECONDS, rate=RATE, cards=800, reuse=prepared)
    summary = run_line(options, line_settings, kill_the_worker, before_close)
    summary_s = time.monotonic() - times_s["checked"]
    assert summary["sent"] == summary["decided"] == RATE * SECONDS
    assert (summary["lost"], summary["duplicated"], summary["restarts"]) == (0, 0, {"worker": 1})
    parity = summary["parity"]
    assert (parity["vectors"], parity["mismatches"]) == (RATE * SECONDS, 0)
    with capsys.disabled():
        print(f"\n{RATE * SECONDS:,} vectors: 0 mismatches, summed up in {summary_s:.0f} s")
        print(f"latency {summary['latency_ms']}, staleness {summary['staleness_ms']}")
