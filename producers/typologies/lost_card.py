"""Lost or stolen card: the finder pays in nearby shops until the card is blocked."""

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
class LostCard(BaseTypology):
    """Two to nine payments within one to eight hours, contactless amounts first, in the victim's city.

    Camouflage: how usual the amounts are, and how many of the shops are the victim's own.
    """

    name = "lost_card"
    share = 0.0003
    span_days = 2
    mean_size = 4.9
    follows_tempo = False

    def transactions(self, population: Population, seed: int, day: int, rng: np.random.Generator) -> Columns:
        card = any_card(population, rng)
        size = 2 + min(int(rng.poisson(3.0)), 7)
        begin = day * DAY_MS + usual_time(population, day, card, rng)
        hours = np.exp(rng.uniform(0, np.log(8)))
        ts = clip_to_span(begin + rng.random(size) * hours * HOUR_MS, day, self.span_days)
        merchant = pick_city_shops(population, int(population.cards.city[card]), size, rng)
        own_shop = population.cards.repertoire[card][rng.integers(0, 10, size=size)]
        merchant = np.where(rng.random(size) < 0.5 * self.camouflage, own_shop, merchant).astype(np.int32)
        merchant = replace_closed_merchants(population, ts, merchant, rng)
        cards = np.full(size, card, np.int32)
        usual = usual_amounts(population, cards, merchant, rng)
        amount_factor = np.linspace(0.6, 1 + 3 * (1 - self.camouflage), size)
        amount = (usual * amount_factor).astype(np.int64)
        return card_present_payments(population, ts, cards, merchant, amount)
