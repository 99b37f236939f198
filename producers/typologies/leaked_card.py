"""Leaked card: a number bought on a market is spent on the web within hours to two days."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from producers.calendar.rhythm import HOUR_MS
from producers.population.amounts import usual_amounts
from producers.population.columns import DAY_MS, Columns
from producers.population.population import Population
from producers.typologies.base import BaseTypology
from producers.typologies.building_blocks import (
    any_card,
    card_not_present_payments,
    fraudster_origin,
    pick_merchants,
    usual_time,
)

_CATEGORIES: Final = ("web_electronics", "gift_cards", "fashion", "marketplace", "travel", "digital_goods")


@dataclass(frozen=True)
class LeakedCard(BaseTypology):
    """One to ten expensive purchases at different web shops; three campaigns in ten are a single one.

    Camouflage: how close amounts, hours and devices are to the victim's own.
    """

    name = "leaked_card"
    share = 0.0007
    span_days = 3
    mean_size = 3.7

    def transactions(self, population: Population, seed: int, day: int, rng: np.random.Generator) -> Columns:
        card = any_card(population, rng)
        size = 1 if rng.random() < 0.3 else 2 + min(int(rng.poisson(2.9)), 8)
        begin = usual_time(population, day, card, rng)
        if rng.random() > self.camouflage:
            begin = int(rng.integers(0, DAY_MS))
        span_ms = np.exp(rng.uniform(np.log(2), np.log(46))) * HOUR_MS
        offset_ms = np.sort(rng.random(size)) * span_ms
        ts = (day * DAY_MS + begin + offset_ms - offset_ms[0]).astype(np.int64)
        merchant = pick_merchants(population, _CATEGORIES, size, rng)
        any_web_shop = np.flatnonzero(rng.random(size) < self.camouflage)
        merchant[any_web_shop] = population.web_shops.pick(
            np.zeros(len(any_web_shop), np.int64), rng.random(len(any_web_shop))
        )
        cards = np.full(size, card, np.int32)
        amount_factor = np.exp(rng.normal(0.9 * (1 - self.camouflage) + 0.25, 0.4))
        amount = (usual_amounts(population, cards, merchant, rng) * amount_factor).astype(np.int64)
        origin = fraudster_origin(population, card, day, 0.6 * self.camouflage, rng)
        return card_not_present_payments(ts, cards, merchant, np.maximum(amount, 100), origin, rng)
