"""Verdicts: what is refused, what is met or missed, and what the sample bears."""

import numpy as np
import pytest

from fraudsim.errors import FraudsimError
from load_tests.load.verdict.objectives import Objectives, parse_latency, parse_share
from load_tests.load.verdict.verdict import reach_verdict
from tests.load_tests.load.samples import healthy, measurement, records_of

FIFTY = Objectives({"p99": 50.0})
NONE = Objectives()


def word_and_why(records, objectives=NONE, **fields):
    verdict = reach_verdict(measurement(records, **fields), objectives)
    return verdict.word, verdict.why


def test_an_objective_is_met_or_missed_by_the_latency_from_intended():
    assert word_and_why(records_of([10.0] * 1000), FIFTY)[0] == "met"
    assert word_and_why(records_of([10.0] * 980 + [60.0] * 20), FIFTY)[0] == "missed"
    assert word_and_why(records_of([10.0] * 1000))[0] == "measured"


def test_a_request_without_a_good_answer_is_a_miss():
    good = np.ones(1000, dtype=int)
    good[:20] = 0
    assert word_and_why(records_of([10.0] * 1000, good=good), FIFTY)[0] == "missed"
    word, why = word_and_why(records_of([10.0] * 1000, good=good), Objectives({}, errors=0.001))
    assert (word, "errors 2.000%" in why) == ("missed", True)
    assert word_and_why(records_of([10.0] * 1000, good=good), Objectives({}, errors=0.05))[0] == "met"


def test_late_sends_refuse_the_run_and_blocked_ones_do_not():
    late = np.where(np.arange(1000) < 3, 1500, 0)
    word, why = word_and_why(records_of([10.0] * 1000, delays_us=late))
    assert word == "not measured"
    assert "0.30% of the sends" in why
    assert word_and_why(records_of([10.0] * 1000, blocked_us=late * 100))[0] == "measured"
    # 2 % of an objective of 100 ms are 2 ms.
    assert word_and_why(records_of([10.0] * 1000, delays_us=late), Objectives({"p99": 100.0}))[0] == "met"
    assert word_and_why(records_of([10.0] * 1000, delays_us=late), Objectives({"p90": 50.0}))[0] == "met"


def test_a_loop_that_stood_still_refuses_blocked_requests_only():
    stuck = healthy(probe_wakes=1000, probe_late=30)
    blocked = np.where(np.arange(1000) < 100, 5_000, 0)
    assert word_and_why(records_of([10.0] * 1000, blocked_us=blocked), health=stuck)[0] == "not measured"
    assert word_and_why(records_of([10.0] * 1000), health=stuck)[0] == "measured"


def test_the_generator_s_own_floor_and_lost_workers_refuse():
    records = records_of([10.0] * 1000)
    assert word_and_why(records, FIFTY, echo_p99_ms=9.9)[0] == "met"
    assert word_and_why(records, FIFTY, echo_p99_ms=10.1)[0] == "not measured"
    assert word_and_why(records, echo_p99_ms=500.0)[0] == "measured"
    assert word_and_why(records, health=healthy(workers=3, lost_workers=1))[0] == "not measured"
    assert word_and_why(records[:0]) == ("not measured", "nothing was sent")


def test_too_few_requests_can_miss_an_objective_but_not_meet_it():
    assert word_and_why(records_of([10.0] * 200), FIFTY)[0] == "not measured"
    assert word_and_why(records_of([10.0] * 300), FIFTY)[0] == "met"
    assert word_and_why(records_of([60.0] * 200), FIFTY)[0] == "missed"


def test_what_the_sample_does_not_bear_is_not_printed():
    verdict = reach_verdict(measurement(records_of([10.0] * 1000)), NONE)
    assert [name for name in ("p50", "p90", "p99", "p999") if verdict.prints(name)] == ["p50", "p90", "p99"]
    # One second in ten is slow: of 2,000 requests few are independent.
    clustered = np.where(np.arange(2000) // 100 % 10 == 0, 900.0, 10.0)
    verdict = reach_verdict(measurement(records_of(clustered)), NONE)
    assert verdict.intervals["p90"].effective < 60
    assert not verdict.prints("p99") or verdict.intervals["p99"].effective >= 299


def test_a_partial_run_says_so():
    assert "stopped after" in word_and_why(records_of([10.0] * 1000), FIFTY, partial=True)[1]


@pytest.mark.parametrize("text", ["", "fast", "ms", "-5ms", "0", "nan", "5 parsecs", "inf"])
def test_an_objective_without_a_number_is_named(text):
    with pytest.raises(FraudsimError, match=r"^--p99 .*an objective takes a number"):
        parse_latency("--p99", text)


@pytest.mark.parametrize("text", ["", "%", "few", "-1", "100%", "nan"])
def test_a_share_of_errors_without_a_number_is_named(text):
    with pytest.raises(FraudsimError, match=r"^--errors "):
        parse_share("--errors", text)


def test_objectives_are_read_in_their_units():
    assert [parse_latency("--p99", text) for text in ("50ms", "0.05s", "50", "800us")] == [50, 50, 50, 0.8]
    assert [parse_share("--errors", text) for text in ("0.1%", "0.001", "0")] == [0.001, 0.001, 0]
