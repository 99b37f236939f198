"""What a stream's generator adds by itself, on records with programmed times; the real one is in `line`."""

import math

import pytest

from load_tests.load.report.page import _floor
from load_tests.load.run.stream_check import own_p99_ms
from load_tests.load.verdict.objectives import Objectives
from load_tests.load.verdict.verdict import reach_verdict
from tests.load_tests.load.samples import measurement, records_of


def test_the_brokers_part_is_not_the_generators():
    records = records_of([40.0] * 1_000, delays_us=2_000)
    records["appended"] = records["completed_us"] - 3_000  # 35 ms between are the broker's and the relay's
    assert own_p99_ms(records) == pytest.approx(5.0, rel=0.01)


def test_a_stream_whose_generator_is_slow_by_itself_is_not_measured_and_a_floor_refuses_nothing():
    records = records_of([20.0] * 1_000)
    objectives = Objectives({"p99": 50.0})
    slow, lost, quick = (
        reach_verdict(measurement(records, kind="stream", echo_p99_ms=echo_ms), objectives)
        for echo_ms in (11.0, math.inf, 9.0)
    )
    assert (slow.word, lost.word, quick.word) == ("not measured", "not measured", "met")
    assert "11.00 ms against a bare topic" in slow.why
    assert "did not get through to a bare topic" in lost.why
    assert _floor({"p50": 30.0, "p99": 400.0}).startswith("p50 30.00, p99 400.00 ms through a bare relay")
    assert _floor(None) == "-"
