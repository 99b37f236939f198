"""Amounts of transactions: log-normal by category, merchant and income, in whole cents."""

from typing import Final

import numpy as np

from fraudsim.arrays import Doubles, Flags, Int32s, Ints
from producers.population.population import Population
from producers.reference import CATEGORIES, CATEGORY_INDEX

MIN_CENTS: Final = 50
MAX_CENTS: Final = 1_500_000
_LOG_MEDIAN: Final = np.log([category.median_cents for category in CATEGORIES])
_SIGMA: Final = np.array([category.sigma for category in CATEGORIES])


def whole_cents(log_cents: Doubles) -> Ints:
    """Cents from their logarithm, clipped to `MIN_CENTS` and `MAX_CENTS`."""
    # Campaigns pass a few amounts at a time, and `np.clip` takes five times as long to begin.
    cents = np.rint(np.exp(log_cents))
    return np.minimum(np.maximum(cents, MIN_CENTS), MAX_CENTS).astype(np.int64)


def is_cash_machine(population: Population, merchant: Int32s) -> Flags:
    return population.merchants.category[merchant] == CATEGORY_INDEX["cash"]


def chargeable_amounts(population: Population, merchant: Int32s, amount_cents: Ints) -> Ints:
    """Amounts as merchants can charge them: cash in tens of euros, at most a thousand; others unchanged."""
    tens = np.minimum(np.maximum(amount_cents // 1000, 1), 100) * 1000
    return np.where(is_cash_machine(population, merchant), tens, amount_cents)


def usual_amounts(
    population: Population,
    card: Int32s,
    merchant: Int32s,
    rng: np.random.Generator,
) -> Ints:
    """The usual amount of each card at each merchant, in cents; cash in tens of euros."""
    category = population.merchants.category[merchant]
    log_cents = _LOG_MEDIAN[category] + population.merchants.log_price[merchant]
    log_cents += population.cards.log_income[card]
    log_cents += _SIGMA[category] * rng.standard_normal(len(card))
    return chargeable_amounts(population, merchant, whole_cents(log_cents))
