"""Anytime-valid intervals and the sample ratio: how often they are wrong when looked at every day."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.evidence.confidence import (
    EARLY_ALPHA,
    TO_END,
    SummedDifference,
    bound,
    detectable,
    detectable_in_stage,
    interval,
    mean_difference,
    ratio_difference,
    stage_interval,
    tuning,
)
from lifecycle.evidence.sample_ratio import log_evidence, mismatch

DAYS, CARDS = 28, 1_500


def card_days(rng: np.random.Generator, cards: int) -> np.ndarray:
    """Losses by card and day, cumulative: rare, heavy tailed, and in bursts of one card."""
    struck = rng.random((cards, 1)) < 0.15
    begins = rng.integers(0, DAYS, (cards, 1))
    burst = (np.arange(DAYS) >= begins) & (np.arange(DAYS) < begins + 3)
    loss = struck * burst * rng.lognormal(9.0, 1.3, (cards, DAYS))
    return np.cumsum(loss + rng.gamma(0.05, 400.0, (cards, DAYS)), axis=1)


def first_exclusion(cumulative: np.ndarray, in_b: np.ndarray) -> int | None:
    """1 if an interval is above 0 at a daily look, -1 if below, None if 0 is always in it."""
    mixture = None
    for day in range(DAYS):
        estimate = mean_difference(cumulative[:, day], in_b, (day + 1) / 7)
        mixture = mixture or tuning(4 * estimate.intrinsic_time)
        _, low, high = interval(estimate, mixture)
        if low > 0 or high < 0:
            return 1 if low > 0 else -1
    return None


@pytest.mark.parametrize("share", [0.05, 0.25])
def test_of_equal_arms_few_are_ever_told_apart_at_daily_looks(share):
    rng = np.random.default_rng(7)
    wrong = 0
    for _ in range(200):
        cumulative = card_days(rng, CARDS)
        wrong += first_exclusion(cumulative, rng.random(CARDS) < share) is not None
    # At a rate of 5 %, more than 20 of 200 happen once in 1,000 times.
    assert wrong <= 20


def test_a_planted_difference_is_found_and_a_fixed_interval_would_be_wrong_too_often():
    rng = np.random.default_rng(8)
    found, naive = 0, 0
    for _ in range(60):
        cumulative = card_days(rng, CARDS)
        in_b = rng.random(CARDS) < 0.5
        estimates = [mean_difference(cumulative[:, day], in_b, (day + 1) / 7) for day in range(DAYS)]
        naive += any(abs(e.difference) > 1.96 * math.sqrt(e.variance) for e in estimates)
        found += first_exclusion(np.where(in_b[:, None], 0.3, 1.0) * cumulative, in_b) == -1
    assert found >= 50
    assert naive >= 6  # twice the 5 % that each look has


@given(st.floats(0.01, 1e6), st.floats(0.001, 0.2))
def test_the_bound_is_tightest_where_it_was_tuned(intrinsic_time, alpha):
    best = bound(intrinsic_time, tuning(intrinsic_time, alpha), alpha)
    for factor in (0.3, 0.8, 1.25, 3.0):
        assert best <= bound(intrinsic_time, factor * tuning(intrinsic_time, alpha), alpha) * (1 + 1e-3)
    # The price of looking at any time instead of once.
    assert best > intrinsic_time**0.5


def test_what_is_called_detectable_is_detected_in_four_of_five_cases():
    rng = np.random.default_rng(9)
    times = np.arange(1, 29) / 28
    mixture = tuning(1.0)
    effect = detectable(mean_like(1.0), 1.0, mixture)
    found = 0
    for _ in range(2_000):
        path = np.cumsum(rng.normal(effect / 28, math.sqrt(1 / 28), 28))
        found += path[-1] > bound(float(times[-1]), mixture)
    assert 0.76 < found / 2_000 < 0.84


def told_in_stage(cumulative: np.ndarray, in_b: np.ndarray) -> int:
    """As `first_exclusion`, in a stage whose end is set; 0 if 0 is always in the interval."""
    mixture = None
    for day in range(DAYS):
        estimate = mean_difference(cumulative[:, day], in_b, (day + 1) / 7)
        mixture = mixture or tuning(4 * estimate.intrinsic_time, EARLY_ALPHA)
        _, low, high = stage_interval(estimate, mixture, (day + 1) / DAYS)
        if low > 0 or high < 0:
            return 1 if low > 0 else -1
    return 0


def growing(rng: np.random.Generator, cards: int, power: int) -> np.ndarray:
    """Losses whose variance grows with time, or with its square where ever more cards count."""
    counts = rng.random((cards, 1)) < np.arange(1, DAYS + 1) / DAYS if power == 2 else np.ones((cards, DAYS))
    return np.cumsum(counts * rng.normal(0, 100.0, (cards, DAYS)), axis=1)


@pytest.mark.parametrize("power", [1, 2])
def test_the_interval_to_the_end_of_a_stage_is_wrong_in_five_of_a_hundred_at_most(power):
    rng = np.random.default_rng(11)
    wrong = 0
    for _ in range(200):
        cumulative = growing(rng, 300, power)
        wrong += told_in_stage(cumulative, rng.random(300) < 0.5) != 0
    assert wrong <= 20  # of 200 at 5 %, once in a thousand times more


def test_at_the_end_of_its_stage_it_finds_what_the_other_does_not():
    rng = np.random.default_rng(12)
    for_ever = to_end = 0
    for _ in range(80):
        in_b = rng.random(400) < 0.5
        cumulative = growing(rng, 400, 1) + np.where(in_b[:, None], -5.5, 0.0) * np.arange(1, DAYS + 1)
        for_ever += first_exclusion(cumulative, in_b) == -1
        to_end += told_in_stage(cumulative, in_b) == -1
    assert to_end > for_ever + 8


def test_what_is_called_detectable_in_a_stage_is_detected_in_four_of_five_cases():
    rng = np.random.default_rng(13)
    looked = SummedDifference(0.0, 1.0, 1.0)
    effect = detectable_in_stage(looked, 1.0)
    assert detectable_in_stage(looked._replace(variance=4.0, exposure=0.25), 0.25) == pytest.approx(effect)
    paths = np.cumsum(rng.normal(effect / 28, math.sqrt(1 / 28), (2_000, 28)), axis=1)
    assert 0.76 < (paths[:, -1] > TO_END).mean() < 0.84


def mean_like(variance: float):
    return mean_difference(np.array([0.0, 0.0]), np.array([False, True]), 1.0)._replace(variance=variance)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 9), st.booleans()), min_size=6, max_size=40))
def test_the_ratio_s_variance_is_that_of_whole_cards(rows):
    numerators, denominators, in_b = (np.array(column) for column in zip(*rows, strict=True))
    numerators = np.minimum(numerators, denominators).astype(float)
    estimate = ratio_difference(numerators, denominators.astype(float), in_b)
    if min(in_b.sum(), (~in_b).sum()) < 2:
        assert math.isinf(estimate.variance)
        return
    own = 0.0
    for arm in (in_b, ~in_b):
        ratio = numerators[arm].sum() / denominators[arm].sum()
        own += ((numerators - ratio * denominators)[arm] ** 2).sum() / denominators[arm].sum() ** 2
    assert estimate.variance >= own * (1 - 1e-9)
    assert estimate.exposure == denominators.sum()


def test_the_sample_ratio_raises_false_alarms_rarely_and_finds_a_wrong_hash():
    rng = np.random.default_rng(10)
    alarms = 0
    for _ in range(1_000):
        of_b = np.cumsum(rng.random(2_000) < 0.25)
        looks = range(100, 2_001, 100)
        alarms += any(mismatch(int(of_b[n - 1]), n - int(of_b[n - 1]), 0.25) for n in looks)
    assert alarms <= 6  # of 1,000 at 0.1 %
    wrong = np.cumsum(rng.random(4_000) < 0.30)
    assert mismatch(int(wrong[-1]), 4_000 - int(wrong[-1]), 0.25)


def test_the_evidence_of_the_sample_ratio_is_a_martingale():
    # One more card: the mean of both Bayes factors, weighted by the set share, is the present one.
    share, of_b, of_a = 0.05, 7, 80
    now = math.exp(log_evidence(of_b, of_a, share))
    then = share * math.exp(log_evidence(of_b + 1, of_a, share))
    then += (1 - share) * math.exp(log_evidence(of_b, of_a + 1, share))
    assert then == pytest.approx(now)
