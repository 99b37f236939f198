"""Friendly fraud: the owner buys, receives and disputes. Nothing in the payment tells: irreducible."""

from dataclasses import dataclass

import numpy as np

from producers.population.amounts import usual_amounts
from producers.population.columns import DAY_MS, Columns
from producers.population.devices import own_address, own_device
from producers.population.population import Population
from producers.typologies.base import BaseTypology
from producers.typologies.building_blocks import (
    any_card,
    card_not_present_payments,
    clip_to_span,
    pick_merchants,
    usual_time,
)


@dataclass(frozen=True)
class FriendlyFraud(BaseTypology):
    """One to three purchases on a day, by the owner, at shops the owner uses or might use.

    Camouflage changes nothing: it is honest behaviour until the dispute.
    """

    name = "friendly_fraud"
    share = 0.0003
    span_days = 2
    mean_size = 1.3

    def transactions(self, population: Population, seed: int, day: int, rng: np.random.Generator) -> Columns:
        card = any_card(population, rng)
        size = 1 + min(int(rng.poisson(0.3)), 2)
        clock = np.array([usual_time(population, day, card, rng) for _ in range(size)])
        ts = clip_to_span(day * DAY_MS + clock, day, self.span_days)
        mine = population.cards.repertoire[card]
        mine = mine[population.merchants.online[mine]]
        elsewhere = pick_merchants(
            population, ("marketplace", "fashion", "digital_goods", "travel"), size, rng
        )
        known = rng.random(size) < 0.6 * (len(mine) > 0)
        own = rng.choice(mine, size=size) if len(mine) else elsewhere
        merchant = np.where(known, own, elsewhere).astype(np.int32)
        cards = np.full(size, card, np.int32)
        amount = np.maximum(usual_amounts(population, cards, merchant, rng), 100)
        rows = card_not_present_payments(population, ts, cards, merchant, amount, 0, 0, rng)
        rows.device[:] = own_device(population, cards, day, rng)
        rows.ip[:] = own_address(population, cards, rng)
        return rows
