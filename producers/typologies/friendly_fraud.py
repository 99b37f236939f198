"""Friendly fraud: the owner buys, receives and disputes; the payment itself reveals nothing."""

from dataclasses import dataclass

import numpy as np

from producers.population.amounts import usual_amounts
from producers.population.columns import DAY_MS, Columns
from producers.population.devices import own_address, own_device
from producers.population.population import Population
from producers.typologies.base import BaseTypology
from producers.typologies.building_blocks import (
    NO_ORIGIN,
    any_card,
    card_not_present_payments,
    clip_to_span,
    pick_merchants,
    usual_time,
)


@dataclass(frozen=True)
class FriendlyFraud(BaseTypology):
    """One to three purchases on a day, by the owner, at shops the owner uses or might use.

    Camouflage has no effect: the behaviour is honest until the dispute.
    """

    name = "friendly_fraud"
    share = 0.0003
    span_days = 2
    mean_size = 1.3

    def transactions(self, population: Population, seed: int, day: int, rng: np.random.Generator) -> Columns:
        card = any_card(population, rng)
        size = 1 + min(int(rng.poisson(0.3)), 2)
        times = np.array([usual_time(population, day, card, rng) for _ in range(size)])
        ts = clip_to_span(day * DAY_MS + times, day, self.span_days)
        own_shops = population.cards.repertoire[card]
        own_shops = own_shops[population.merchants.online[own_shops]]
        other_merchant = pick_merchants(
            population, ("marketplace", "fashion", "digital_goods", "travel"), size, rng
        )
        at_own_shop = rng.random(size) < 0.6 * (len(own_shops) > 0)
        own_merchant = rng.choice(own_shops, size=size) if len(own_shops) else other_merchant
        merchant = np.where(at_own_shop, own_merchant, other_merchant).astype(np.int32)
        cards = np.full(size, card, np.int32)
        amount = np.maximum(usual_amounts(population, cards, merchant, rng), 100)
        rows = card_not_present_payments(ts, cards, merchant, amount, NO_ORIGIN, rng)
        rows.device[:] = own_device(population, cards, day, rng)
        rows.ip[:] = own_address(population, cards, rng)
        return rows
