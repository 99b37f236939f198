"""Weeks of synthetic decisions for the detectors."""

import numpy as np

from dashboards.drift.decided_weeks import WEEK_MS
from dashboards.drift.week import Column, Rate, WeekRows

CARDS = 300


def people(seed=0, cards=CARDS):
    """What each card usually pays: cards repeat themselves."""
    return np.random.default_rng([seed, 99]).lognormal(3, 1, cards)


def week_rows(number, seed=0, cards=CARDS, *, factor=1.0, missing=0.1, code=None, denied=0.2, rows_a_card=8):
    """A week of payments near each card's usual amount."""
    rng = np.random.default_rng([seed, number])
    card = np.repeat(np.arange(cards), rows_a_card)
    amount = people(seed, cards)[card] * rng.lognormal(0, 0.3, len(card)) * factor
    sparse = np.where(rng.random(len(card)) < missing, np.nan, amount)
    codes = rng.integers(0, 5, len(card)).astype(float)
    if code is not None:
        codes[rng.random(len(card)) < 0.05] = code
    stepped_up = rng.random(len(card)) < 0.1
    says_no = stepped_up & (rng.random(len(card)) < denied)
    return WeekRows(
        number * WEEK_MS,
        card.astype(np.int64) * 7_919,
        {"amount": Column(amount), "sparse": Column(sparse)},
        {"code": codes},
        {"denied": Rate(card.astype(np.int64), says_no.astype(float), stepped_up.astype(float))},
    )
