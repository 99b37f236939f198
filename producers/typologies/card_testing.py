"""Card testing: a stolen number is tried with small amounts, many times in half an hour, then used."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from producers.calendar.rhythm import MINUTE_MS
from producers.population.amounts import usual_amounts, whole_cents
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

_TEST_CATEGORIES: Final = ("digital_goods", "games", "charity", "food_delivery")
_FINAL_CATEGORIES: Final = ("marketplace", "web_electronics", "gift_cards", "fashion")


@dataclass(frozen=True)
class CardTesting(BaseTypology):
    """Five to twelve small card-not-present authorisations, and in four of five cases an expensive one after.

    Camouflage: how many tries have the shop's usual amount and come from the victim's own device.
    """

    name = "card_testing"
    share = 0.0008
    span_days = 2
    mean_size = 9.3

    def transactions(self, population: Population, seed: int, day: int, rng: np.random.Generator) -> Columns:
        card = any_card(population, rng)
        tries = int(rng.integers(5, 13))
        begin = int(rng.integers(0, DAY_MS))
        if rng.random() < self.camouflage:
            begin = usual_time(population, day, card, rng)
        ts = day * DAY_MS + begin + np.sort(rng.random(tries)) * rng.uniform(8, 32) * MINUTE_MS
        shops = pick_merchants(population, _TEST_CATEGORIES, int(rng.integers(1, 4)), rng)
        merchant = rng.choice(shops, size=tries)
        cards = np.full(tries, card, np.int32)
        usual = usual_amounts(population, cards, merchant, rng)
        test_amounts = whole_cents(np.log(220.0) + 0.6 * rng.standard_normal(tries))
        # Not clipped at a round figure: many equal amounts would reveal the campaign.
        as_usual = (rng.random(tries) < self.camouflage) & (usual <= 2500)
        amount = np.where(as_usual, usual, test_amounts)
        if rng.random() < 0.8:
            ts = np.append(ts, ts[-1] + rng.uniform(2, 45) * MINUTE_MS)
            final_shop = pick_merchants(population, _FINAL_CATEGORIES, 1, rng)
            merchant = np.append(merchant, final_shop)
            cards = np.append(cards, np.int32(card))
            final_amount = usual_amounts(population, cards[-1:], final_shop, rng) * rng.uniform(1.2, 3.5)
            amount = np.append(amount, 3000 + final_amount.astype(np.int64))
        origin = fraudster_origin(population, card, day, 0.5 * self.camouflage, rng)
        return card_not_present_payments(ts.astype(np.int64), cards, merchant, amount, origin, rng)
