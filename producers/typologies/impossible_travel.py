"""Impossible travel: a copy of the card pays in another city hours after its owner paid at home."""

from dataclasses import dataclass

import numpy as np

from producers.calendar.rhythm import HOUR_MS
from producers.population.amounts import usual_amounts
from producers.population.closed_shops import replace_closed_merchants
from producers.population.columns import DAY_MS, Columns
from producers.population.population import Population
from producers.typologies.base import BaseTypology
from producers.typologies.building_blocks import (
    any_card,
    card_present_payments,
    clip_to_span,
    pick_city_shops,
    usual_time,
)


@dataclass(frozen=True)
class ImpossibleTravel(BaseTypology):
    """One to five payments in shops and at cash machines of a city the victim does not live in.

    Camouflage: fewer payments, more usual amounts, further apart in time.
    """

    name = "impossible_travel"
    share = 0.0002
    span_days = 2
    mean_size = 2.9
    follows_tempo = False

    def transactions(self, population: Population, seed: int, day: int, rng: np.random.Generator) -> Columns:
        card = any_card(population, rng)
        home = int(population.cards.city[card])
        city = (home + int(rng.integers(1, max(population.cities, 2)))) % population.cities
        size = 1 + min(int(rng.poisson(2.9 - 2 * self.camouflage)), 4)
        begin = day * DAY_MS + usual_time(population, day, card, rng)
        offset_ms = rng.random(size) * (1 + 9 * self.camouflage) * HOUR_MS
        ts = clip_to_span(begin + offset_ms, day, self.span_days)
        merchant = replace_closed_merchants(population, ts, pick_city_shops(population, city, size, rng), rng)
        cards = np.full(size, card, np.int32)
        amount_factor = np.exp(rng.normal(0.9 * (1 - self.camouflage), 0.3, size=size))
        amount = (usual_amounts(population, cards, merchant, rng) * amount_factor).astype(np.int64)
        return card_present_payments(population, ts, cards, merchant, amount)
