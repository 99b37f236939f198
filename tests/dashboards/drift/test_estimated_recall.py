"""Recall without labels: right where probabilities are, and blind where fraud changes."""

import numpy as np
import pytest

from dashboards.drift.estimated_recall import estimated_recall


def payments(seed, hidden=0.0):
    """Payments of 2,000 cards, their true frauds, and the probability by what can be seen of them."""
    rng = np.random.default_rng(seed)
    n = 40_000
    cards = rng.integers(0, 2_000, n)
    risk = rng.beta(0.3, 8, n)
    fraud = rng.random(n) < risk
    seen = np.where(fraud & (rng.random(n) < hidden), rng.beta(0.3, 8, n), risk)
    return cards, seen, fraud


def recall(flagged, fraud):
    return float(flagged[fraud].mean())


def test_it_is_right_while_probabilities_are_calibrated():
    inside = 0
    for seed in range(20):
        cards, probabilities, fraud = payments(seed)
        flagged = probabilities > 0.2
        estimate = estimated_recall(cards, probabilities, flagged)
        assert estimate.low < estimate.value < estimate.high
        assert estimate.value == pytest.approx(recall(flagged, fraud), abs=0.06)
        truth = (probabilities * flagged).sum() / probabilities.sum()
        inside += estimate.low < truth < estimate.high
    assert inside == 20, "the estimate of all cards lies within"


def test_it_does_not_see_frauds_that_begin_to_look_honest():
    """Seven of ten frauds hide: recall falls by half, and the estimate says nothing of it."""
    cards, before, fraud = payments(1)
    _, after, _ = payments(1, hidden=0.7)
    real = [recall(p > 0.2, fraud) for p in (before, after)]
    estimates = [estimated_recall(cards, p, p > 0.2) for p in (before, after)]
    assert real[1] < 0.55 * real[0]
    assert estimates[1].value > 0.8 * estimates[0].value
    assert estimates[1].low > real[1], "its interval leaves the truth out"


def test_without_expected_fraud_there_is_no_estimate():
    cards = np.arange(5)
    assert estimated_recall(cards, np.zeros(5), np.zeros(5, bool)) is None
