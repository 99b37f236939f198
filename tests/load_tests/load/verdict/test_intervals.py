"""Intervals by batch means, against the truth of simulated runs."""

import doctest

import numpy as np
import pytest

from load_tests.load.verdict import intervals
from load_tests.load.verdict.intervals import batch_groupings, effective_sample, quantile_interval


def test_the_examples_hold():
    assert doctest.testmod(intervals).failed == 0


def groupings(count: int, per_second: int):
    return batch_groupings(np.arange(count) * 1_000_000 // per_second, np.zeros(count, dtype=np.int64))


def test_independent_requests_count_in_full_and_clusters_do_not():
    rng = np.random.default_rng(1)
    independent = rng.random(60_000) < 0.01
    effective, _ = effective_sample(independent, groupings(60_000, 1000))
    assert effective > 20_000
    seconds = rng.random(60) < 0.05
    clustered = np.repeat(seconds, 1000)
    effective, batches = effective_sample(clustered, groupings(60_000, 1000))
    assert effective == pytest.approx(60, rel=0.5)
    assert batches > 0


def test_the_interval_covers_the_true_quantile_as_often_as_it_says():
    rng = np.random.default_rng(2)
    truth = -np.log(0.1)  # p90 of an exponential
    hits = 0
    for _ in range(200):
        sample = rng.exponential(1.0, 2_000)
        interval = quantile_interval(sample, 0.9, groupings(2_000, 100))
        assert interval is not None
        hits += interval.low_ms <= truth <= (interval.high_ms or np.inf)
    assert hits / 200 > 0.92


def test_restarts_that_differ_widen_the_interval():
    rng = np.random.default_rng(3)
    levels = np.repeat([10.0, 20.0, 30.0, 40.0], 1_000)
    sample = levels + rng.random(4_000)
    times = np.arange(4_000) * 10_000
    one = quantile_interval(sample, 0.5, batch_groupings(times, np.zeros(4_000, dtype=np.int64)))
    four = quantile_interval(sample, 0.5, batch_groupings(times, np.repeat(np.arange(4), 1_000)))
    assert one is not None
    assert four is not None
    assert four.effective < 5 < one.effective
