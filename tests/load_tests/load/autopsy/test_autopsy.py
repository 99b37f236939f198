"""Waterfalls and the slowest requests."""

import time

import numpy as np
import psutil
import pytest

from fraudsim.polling import poll_until
from load_tests.load.autopsy.happenings import Happening, fetch_gaps, logged_happenings
from load_tests.load.autopsy.slowest import slowest_requests
from load_tests.load.autopsy.stall_probe import read_stalls, stall_probe
from load_tests.load.autopsy.waterfall import stages_of, waterfalls
from load_tests.load.clocks.lateness import lateness_of
from tests.load_tests.load.samples import START_US, records_of


def stamped(latencies_ms):
    records = records_of(latencies_ms)
    sent_us = records["sent_us"]
    for offset, name in enumerate(("received", "state_read", "features", "scored", "decided"), 1):
        records[name] = sent_us + 100 * offset
    return records


def test_the_stages_of_a_request_sum_to_its_latency():
    records = stamped(np.linspace(5, 50, 1000))
    for fall in waterfalls(records, {"p50": 0.5, "p99": 0.99}):
        assert sum(fall.stages_ms.values()) == pytest.approx(fall.latency_ms, rel=0.01)
        assert "appended" not in fall.stages_ms  # no answer had this stamp
    assert stages_of(records[0])["received"] == pytest.approx(0.1)


def test_the_slowest_are_named_with_what_happened_then():
    latencies_ms = np.full(1000, 5.0)
    latencies_ms[[100, 200]] = 300, 200
    records = records_of(latencies_ms, blocked_us=np.where(np.arange(1000) == 200, 50_000, 0))
    pause = Happening("collector", START_US + 1_050_000, START_US + 1_200_000, "of the scorer")
    slow = slowest_requests(records, lateness_of(records, 1000), [pause], count=3)
    assert [(request.number, request.latency_ms) for request in slow[:2]] == [(100, 300.0), (200, 200.0)]
    assert slow[0].explanation == "collector 150.0 ms of the scorer"
    assert slow[1].explanation == "blocked: no sender was free"
    assert slow[1].longest_stage == "back to the client"
    assert slow[2].explanation == ""


def test_a_process_s_log_says_what_happened():
    lines = [
        '{"event": "collector_paused", "process": "scorer", "ms": 12.5, "timestamp": "2026-01-01T00:00:01Z"}',
        '{"event": "model_served", "process": "scorer", "timestamp": "2026-01-01T00:00:02Z"}',
        '{"event": "scorer_starting", "timestamp": "2026-01-01T00:00:02Z"}',
        "plain text", "[]", '{"event": "model_served"}',
    ]  # fmt: skip
    pause, exchange = logged_happenings(lines)
    assert (pause.kind, pause.end_us - pause.start_us, pause.detail) == ("collector", 12_500, "of scorer")
    assert exchange.kind == "exchange of model"
    assert exchange.end_us - pause.end_us == 1_000_000


def test_a_stall_of_the_probe_is_kept(tmp_path):
    with stall_probe(tmp_path / "stalls", spin=False):
        alive = [p for p in psutil.Process().children() if p.status() != psutil.STATUS_ZOMBIE]
        probe = next(p for p in alive if "stall_probe" in " ".join(p.cmdline()))
        assert poll_until((tmp_path / "stalls").exists, 30)
        time.sleep(0.05)
        probe.suspend()
        time.sleep(0.1)
        probe.resume()
        assert poll_until(
            lambda: any(end - start > 90_000 for start, end in read_stalls(tmp_path / "stalls")), 30
        )
    assert not probe.is_running()
    (tmp_path / "stalls").write_text("1 2\n3")
    assert read_stalls(tmp_path / "stalls") == [(1, 2)]
    assert read_stalls(tmp_path / "none") == []


def test_records_that_waited_in_the_broker_s_log_show_a_gap_between_fetches():
    records = records_of([100.0] * 50)
    records["appended"] = records["sent_us"] + 1_000
    records["received"] = records["appended"] + 5_000
    assert fetch_gaps(records) == []
    end_us = int(records["appended"][20]) + 60_000
    records["received"][20:26] = end_us  # appended 10 ms apart, received together
    (gap,) = fetch_gaps(records)
    assert (gap.kind, gap.start_us, gap.end_us) == ("fetch gap", int(records["appended"][20]), end_us)
    records["appended"] = 0
    assert fetch_gaps(records) == []
