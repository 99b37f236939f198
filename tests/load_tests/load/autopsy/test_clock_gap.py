"""Which requests make the clocks differ, on records with programmed waits."""

import json

import numpy as np

from load_tests.load.autopsy.clock_gap import clock_gap
from load_tests.load.clocks.lateness import lateness_of
from load_tests.load.report.files import write_report
from load_tests.load.report.result import result_of
from load_tests.load.verdict.objectives import Objectives
from load_tests.load.verdict.verdict import reach_verdict
from tests.load_tests.load.samples import measurement, records_of

QUANTILES = {"p50": 0.5, "p99": 0.99}


def stalled():
    """4,000 requests at 100/s; for half a second in each ten the target holds every sender."""
    count = 4_000
    in_stall = np.arange(count) % 1_000 < 50
    wait_us = np.where(in_stall, (50 - np.arange(count) % 1_000) * 10_000, 0)
    return records_of(5 + wait_us / 1000, blocked_us=wait_us), np.flatnonzero(in_stall)


def test_the_requests_of_the_standstills_make_the_difference_and_are_listed_by_span():
    records, waited = stalled()
    gap = clock_gap(records, lateness_of(records, 1_000), QUANTILES)
    assert gap.quantile == "p99"
    assert gap.sent_ms < 6
    assert gap.intended_ms > 300
    assert list(gap.numbers) == waited.tolist()
    assert gap.requests == 200
    assert [(span.first_number, span.last_number, span.requests) for span in gap.spans] == [
        (start, start + 49, 50) for start in (0, 1_000, 2_000, 3_000)
    ]
    assert [(span.blocked, span.late) for span in gap.spans] == [(50, 0)] * 4
    assert [round(span.from_s) for span in gap.spans] == [0, 10, 20, 30]
    assert gap.spans[0].worst_wait_ms == 500
    assert gap.spans[0].reason == "no sender was free (50)"


def test_where_the_clocks_agree_nobody_makes_a_difference():
    slow = np.where(np.arange(2_000) % 100 == 0, 200.0, 1.0)
    records = records_of(slow)
    gap = clock_gap(records, lateness_of(records, 1_000), QUANTILES)
    assert (gap.requests, list(gap.spans)) == (0, [])
    assert clock_gap(records_of([]), lateness_of(records_of([]), 1_000), QUANTILES) is None
    assert clock_gap(records, lateness_of(records, 1_000), {}) is None


def test_report_and_result_list_them(tmp_path):
    records, _ = stalled()
    measured = measurement(records)
    verdict = reach_verdict(measured, Objectives())
    context = {"target": "t", "rate": 100.0, "seconds": 40.0, "arrivals": "constant", "seed": 1, "rounds": 1}
    write_report(tmp_path, measured, verdict, result_of(measured, Objectives(), verdict, context))
    gap = json.loads((tmp_path / "result.json").read_text())["clock_gap"]
    assert gap["requests"] == len(gap["numbers"]) > 0
    page = (tmp_path / "report.html").read_text()
    assert "Which requests make the difference" in page
    assert "no sender was free" in page


def test_clocks_within_a_millisecond_agree(tmp_path):
    records, _ = stalled()
    records["sent_us"] = records["intended_us"] + 400
    records["completed_us"] = records["sent_us"] + 5_000
    measured = measurement(records)
    verdict = reach_verdict(measured, Objectives())
    context = {"target": "t", "rate": 100.0, "seconds": 40.0, "arrivals": "constant", "seed": 1, "rounds": 1}
    write_report(tmp_path, measured, verdict, result_of(measured, Objectives(), verdict, context))
    page = (tmp_path / "report.html").read_text()
    assert "They agree." in page
    assert "make the difference" not in page
