import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.training.label_knowledge import LabelKnowledge
from model.training.maturity import ANY, expected_known_share, maturity_curves, recent_rates
from stream_features.catalogue.features import DAY


def knowledge_of(ts, delay_ms, ranks=None, says_fraud=None):
    order = np.argsort(ts + delay_ms, kind="stable")
    count = len(ts)
    ranks = np.zeros(count, np.int64) if ranks is None else ranks
    says = np.ones(count, np.bool_) if says_fraud is None else says_fraud
    return LabelKnowledge(np.arange(count)[order], (ts + delay_ms)[order], ranks[order], says[order], count)


def test_without_truncation_it_is_the_plain_share():
    delay = np.array([0, 0, 1, 3, 3, 9]) * DAY
    ts = np.zeros(6, np.int64)
    curve = maturity_curves(ts, knowledge_of(ts, delay), 100 * DAY)[ANY]
    assert curve.frauds == 6
    assert curve.after(np.array([1, 2, 4, 9, 10, 50]) * DAY) == pytest.approx(
        [2 / 6, 3 / 6, 5 / 6, 5 / 6, 1, 1]
    )
    assert curve.after(np.array([0])) == pytest.approx([0])


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 20)), min_size=1, max_size=60).filter(
        lambda pairs: any(delay <= age for delay, age in pairs)
    )
)
def test_the_estimate_is_the_product_of_the_reverse_hazards(pairs):
    """Against a direct count, delay by delay; a fraud is seen only if its delay is within its age."""
    seen = [(delay, age) for delay, age in pairs if delay <= age]
    time_ms = 30 * DAY
    ts = time_ms - np.array([age for _, age in pairs]) * DAY - DAY // 2
    delay_ms = np.array([delay for delay, _ in pairs]) * DAY + DAY // 4
    curve = maturity_curves(ts, knowledge_of(ts, delay_ms), time_ms)[ANY]
    longest = max(delay for delay, _ in seen)
    for day in range(longest + 1):
        expected = 1.0
        for later in range(day + 1, longest + 1):
            at_risk = [delay for delay, age in seen if delay <= later <= age]
            if at_risk:
                expected *= 1 - at_risk.count(later) / len(at_risk)
        assert curve.known_share[day] == pytest.approx(expected)


def test_it_finds_the_delays_behind_labels_that_are_still_coming():
    rng = np.random.default_rng(3)
    ts = np.sort(rng.integers(0, 120 * DAY, 60_000))
    delay = (rng.exponential(12, 60_000).clip(max=60) * DAY).astype(np.int64)
    time_ms = 120 * DAY
    curve = maturity_curves(ts, knowledge_of(ts, delay), time_ms)[ANY]
    for days in (1, 7, 30):
        assert curve.after(np.array([days * DAY]))[0] == pytest.approx((delay < days * DAY).mean(), abs=0.02)
    naive = delay[ts + delay < time_ms]
    assert abs((naive < 7 * DAY).mean() - (delay < 7 * DAY).mean()) > 0.02


def test_recent_rates_are_corrected_to_what_they_will_be():
    rng = np.random.default_rng(4)
    ts = np.sort(rng.integers(0, 90 * DAY, 400_000))
    fraud = rng.random(len(ts)) < 0.02
    delay = (rng.exponential(10, len(ts)).clip(max=50) * DAY).astype(np.int64)
    rows = np.flatnonzero(fraud)
    order = np.argsort((ts + delay)[rows], kind="stable")
    count = len(rows)
    knowledge = LabelKnowledge(
        rows[order], (ts + delay)[rows][order], np.zeros(count, np.int64), np.ones(count, np.bool_), len(ts)
    )
    *_, last = recent_rates(ts, knowledge, 90 * DAY, days=7, spans=4)
    assert last.known_rate < 0.01
    assert last.mature_rate == pytest.approx(0.02, rel=0.15)


def test_sources_have_curves_of_their_own_and_a_cleared_report_counts_in_none():
    ts = np.zeros(4, np.int64)
    delay = np.array([0, 0, 40, 2]) * DAY
    knowledge = knowledge_of(ts, delay, np.array([0, 0, 1, 2]), np.array([True, True, True, False]))
    curves = maturity_curves(ts, knowledge, 100 * DAY)
    assert [curve.frauds for curve in curves.values()] == [3, 2, 1]


def test_without_frauds_there_is_no_curve_and_no_share():
    ts = np.zeros(3, np.int64)
    knowledge = knowledge_of(ts, ts, says_fraud=np.zeros(3, np.bool_))
    assert maturity_curves(ts, knowledge, DAY) == {}
    assert expected_known_share(None, ts, DAY) == 0
    assert np.isnan(recent_rates(ts, knowledge, DAY, 1, 1)[0].mature_rate)
