"""Load tests of a running line: through Kafka and over HTTP, with its costs, beside its own traffic."""

import json
import subprocess
import sys

import numpy as np
import pytest

from load_tests.load.arrivals.schedule import schedule_us
from load_tests.load.arrivals.shapes import parse_shape
from load_tests.load.clocks.records import read_records
from runner.line.options import LineOptions
from runner.record.wire_bytes import tcp_connections
from testing.rigs.live_line import run_line

pytestmark = [pytest.mark.stack]
RATE, SECONDS = 60, 4


def load(out, *words):
    schedule = ("--rate", str(RATE), "--seconds", str(SECONDS), "--p99", "10s")
    done = subprocess.run(
        [sys.executable, "-m", "fraudsim", "load", "run", *schedule, "--out", str(out), *words],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    assert (out / "result.json").exists(), done.stdout + done.stderr
    return json.loads((out / "result.json").read_text())


def test_stream_and_http_are_loaded_by_one_schedule_and_nothing_is_lost(tmp_path, line_settings, prepared):
    results = {}

    def load_both(line, observer):
        run = ("--run", str(line.run_dir))
        results["stream"] = load(tmp_path / "stream", "--stream", *run)
        results["http"] = load(
            tmp_path / "http", "--url", f"http://127.0.0.1:{line.settings.http_port}", *run
        )

    options = LineOptions(tmp_path / "run", seconds=12, rate=20, reuse=prepared)
    summary = run_line(options, line_settings, load_both, brute_force=20)
    schedule = schedule_us(parse_shape("poisson"), RATE, SECONDS, 1)
    for name, result in results.items():
        assert result["scheduled"] == result["sent"] == result["completed"] == len(schedule)
        assert (result["errors"], result["kind"]) == (0, name), result["error_kinds"]
        assert result["generator"]["echo_p99_ms"] > 0
        assert (result["floor_ms"] is not None) == (name == "stream")
        medians = [result[f"{clock}_ms"]["p50"] for clock in ("server", "from_sent", "from_intended")]
        assert medians == sorted(medians)
        records = read_records(tmp_path / name / "records-0.bin")
        assert records["number"].tolist() == list(range(len(schedule)))
        processes = result["costs"]["processes"]
        assert {"worker", "scorer", "archiver", "kafka", "redis"} <= processes.keys()
        assert processes["scorer"]["cpu_us"] > 0
        if tcp_connections() is not None:
            assert processes["redis"]["sent_bytes"] > 100
            assert processes["redis"]["received_bytes"] > 100
            assert processes["kafka"]["received_bytes"] > 100
        falls = result["waterfall_ms"]["p50"]
        assert {"received", "state_read", "features", "scored", "decided", "completed"} <= falls.keys()
        assert "dequeued" in falls
        assert ("appended" in falls) == (name == "stream")
        assert min(falls.values()) > -2  # the broker stamps whole milliseconds
    # The sender hands over at whole milliseconds.
    offsets = read_records(tmp_path / "stream" / "records-0.bin")["intended_us"]
    assert np.abs((offsets - offsets[0]) - (schedule - schedule[0])).max() < 2_500
    assert summary["sent"] == summary["decided"] > 200 + len(schedule)
    assert (summary["lost"], summary["duplicated"], summary["parity"]["mismatches"]) == (0, 0, 0)
