"""The search for a capacity, against targets whose capacity is programmed."""

import random

import numpy as np
import pytest

from load_tests.load.capacity.estimate import estimate_capacity
from load_tests.load.capacity.search import CapacitySearch, CapacityStep, SearchLimits
from load_tests.load.capacity.trend import backlog_means, trend_of, unstable
from load_tests.load.clocks.lateness import lateness_of
from tests.load_tests.load.samples import records_of


def target(capacity: float, seed: int, noise: float = 0.05, generator: float = 1e9):
    rng = random.Random(seed)

    def attempt(rate: float, from_above: bool) -> CapacityStep:
        if rate > generator:
            return CapacityStep(rate, "not measured", "the generator was late")
        is_met = rate < capacity * rng.lognormvariate(0, noise)
        return CapacityStep(rate, "met" if is_met else "missed", "", from_above)

    return attempt


def search(attempt, seed: int = 1, **limits):
    return CapacitySearch(attempt, SearchLimits(**limits), random.Random(seed)).run()


@pytest.mark.parametrize("capacity", [3.0, 70.0, 777.0, 6000.0])
def test_a_capacity_lies_in_its_interval_and_two_searches_overlap(capacity):
    one, two = (search(target(capacity, seed), seed) for seed in (1, 2))
    for outcome in (one, two):
        assert outcome.estimate is not None
        assert outcome.estimate.low < capacity * 1.05
        assert outcome.estimate.high > capacity / 1.05
        assert outcome.estimate.high / outcome.estimate.low < 2
    assert one.estimate.low < two.estimate.high
    assert two.estimate.low < one.estimate.high


def test_intervals_cover_the_capacity_as_often_as_they_say():
    hits = 0
    for seed in range(12):
        estimate = search(target(300.0, seed, noise=0.1), seed).estimate
        hits += estimate.low <= 300 <= estimate.high
    assert hits >= 10


def test_rates_are_drawn_on_both_sides_and_some_come_from_above():
    steps = search(target(300.0, 1)).steps
    assert {step.word for step in steps} == {"met", "missed"}
    assert sum(step.from_above for step in steps) >= 2
    assert len({step.rate for step in steps}) == len(steps)


def test_no_capacity_is_named_where_the_generator_saturates():
    outcome = search(target(5000.0, 1, generator=900))
    assert outcome.estimate is None
    assert outcome.at_least == 800
    assert "the generator was late" in outcome.why


def test_no_capacity_is_named_beyond_the_rates_allowed():
    outcome = search(target(5000.0, 1), most=400.0)
    assert (outcome.estimate, outcome.at_least) == (None, 400.0)
    assert "--most" in outcome.why
    assert "even at" in search(target(0.1, 1)).why


def test_one_stray_step_does_not_move_the_estimate_far():
    rates, met = [100, 200, 400, 300, 280, 320, 310, 290], [1, 1, 0, 1, 1, 0, 0, 1]
    clean = estimate_capacity(rates, met)
    stray = estimate_capacity([*rates, 120], [*met, 0])
    assert clean.low < 305 < clean.high
    assert stray.rate == pytest.approx(clean.rate, rel=0.15)


def test_a_backlog_that_builds_up_is_unstable_though_latency_is_within_the_objective():
    count = 2000
    growing = np.linspace(1, 40, count)
    for latencies_ms, expected in ((growing, "the backlog grew"), (np.full(count, 20.0), "")):
        records = records_of(latencies_ms, rate=1000)
        assert unstable(records, lateness_of(records, 1000), objective_ms=50.0) == expected
    assert backlog_means(records_of(np.full(count, 20.0), rate=1000))[5:].mean() == pytest.approx(20, rel=0.1)


def test_delays_of_the_generator_that_grow_are_unstable():
    records = records_of(np.full(2000, 5.0), rate=1000, delays_us=np.linspace(0, 4000, 2000).astype(int))
    assert unstable(records, lateness_of(records, 1000), 50.0) == "the generator's delays grew"


def test_noise_has_no_trend():
    rng = np.random.default_rng(1)
    rises = [trend_of(rng.normal(10, 3, 20)).rises(0.0) for _ in range(500)]
    assert sum(rises) < 10
    assert trend_of(np.arange(20.0)).growth == pytest.approx(20, rel=0.1)
