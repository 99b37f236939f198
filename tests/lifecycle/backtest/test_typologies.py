"""Two models by typology: differences paired by card, and none from a handful of cards."""

import math

import numpy as np
import pytest

from lifecycle.backtest.typologies import TypologyByCard, compare_typologies
from lifecycle.backtest.verdict import Z975


def by_card(frauds, flagged, cents=1_000):
    frauds, flagged = np.array(frauds, np.int64), np.array(flagged, np.int64)
    return TypologyByCard(frauds, flagged, cents * (frauds - flagged))


def struck(rng, cards, rate):
    frauds = rng.poisson(0.5, cards)
    return frauds, rng.binomial(frauds, rate)


def test_equal_arms_differ_by_nothing_and_for_certain():
    rng = np.random.default_rng(1)
    arm = {"card_testing": by_card(*struck(rng, 200, 0.4))}
    (item,) = compare_typologies(arm, arm, 1.0, 200)
    assert (item.flagged.mean, item.flagged.low, item.flagged.high) == (0, 0, 0)
    assert (item.paid.mean, item.paid.low, item.paid.high) == (0, 0, 0)


def test_of_a_few_cards_nothing_is_said_and_a_typology_may_strike_in_one_arm_only():
    few = {"push_scam": by_card([1] * 19 + [0] * 181, [1] * 19 + [0] * 181)}
    many = {"lost_card": by_card([1] * 50 + [0] * 150, [0] * 200)}
    lost, scam = compare_typologies({**few, **many}, few, 1.0, 200)
    assert (scam.name, scam.cards, scam.flagged, scam.paid) == ("push_scam", 19, None, None)
    assert (lost.frauds_of_a, lost.frauds_of_b, lost.flagged) == (50, 0, None)
    assert lost.paid.high < 0
    assert lost.paid.mean == pytest.approx(-50 * 1_000 / 200 * 1_000)


def test_the_interval_of_the_share_is_paired_by_card():
    # Each struck card has ten frauds; B flags one more of each card than A: the pairing leaves no doubt.
    rng = np.random.default_rng(2)
    flagged = rng.integers(0, 9, 100)
    a = {"x": by_card([10] * 100, flagged)}
    b = {"x": by_card([10] * 100, flagged + 1)}
    (item,) = compare_typologies(a, b, 1.0, 100)
    assert item.flagged.mean == pytest.approx(0.1)
    assert item.flagged.high - item.flagged.low == pytest.approx(0, abs=1e-12)
    unpaired = Z975 * math.sqrt(2 * flagged.var() / 100) / 10
    assert unpaired > 0.03


def test_intervals_cover_the_true_difference_in_about_95_of_100_worlds():
    rng = np.random.default_rng(3)
    covered = paid_covered = 0
    for _ in range(400):
        frauds = rng.poisson(0.8, 150)
        a = {"x": by_card(frauds, rng.binomial(frauds, 0.5))}
        b = {"x": by_card(frauds, rng.binomial(frauds, 0.6))}
        (item,) = compare_typologies(a, b, 1.0, 150)
        covered += item.flagged.low <= 0.1 <= item.flagged.high
        paid_covered += item.paid.low <= -0.08 * 1_000 * 1_000 <= item.paid.high
    assert 366 <= covered <= 392  # 380 at 95 %; outside once in a thousand times
    assert 366 <= paid_covered <= 394
