"""Refund abuse: mules buy expensive returnable goods repeatedly and are refunded outside the feed."""

from dataclasses import dataclass

import numpy as np

from producers.calendar.rhythm import times_of_day, to_utc
from producers.population.amounts import usual_amounts
from producers.population.columns import DAY_MS, Columns
from producers.population.devices import fresh_devices, own_address, own_device
from producers.population.population import Population
from producers.typologies.base import BaseTypology
from producers.typologies.building_blocks import (
    PaymentOrigin,
    card_not_present_payments,
    clip_to_span,
    pick_merchants,
)


@dataclass(frozen=True)
class RefundAbuse(BaseTypology):
    """Two to five mule cards, three to seven near-equal purchases each at one shop within two weeks.

    Camouflage: how many come from the mule's own device instead of the organiser's, and how their prices
    vary.
    """

    name = "refund_abuse"
    share = 0.0002
    span_days = 14
    mean_size = 17.0

    def transactions(self, population: Population, seed: int, day: int, rng: np.random.Generator) -> Columns:
        mules = rng.choice(
            len(population.cards), size=min(int(rng.integers(2, 6)), len(population.cards)), replace=False
        )
        card = np.repeat(mules, rng.integers(3, 8, size=len(mules))).astype(np.int32)
        size = len(card)
        times = to_utc(times_of_day(day, population.cards.rhythm[card], rng), population.cards.zone[card])
        ts = clip_to_span(
            (day + rng.integers(0, self.span_days, size=size)) * DAY_MS + times, day, self.span_days
        )
        cards = rng.permutation(card)
        merchant = np.repeat(
            pick_merchants(population, ("fashion", "web_electronics", "marketplace"), 1, rng), size
        )
        price = usual_amounts(population, cards[:1], merchant[:1], rng)[0] * 2 + 4_000
        noise = (0.02 + 0.3 * self.camouflage) * rng.standard_normal(size)
        amount = np.maximum((price * np.exp(noise)).astype(np.int64), 100)
        rows = card_not_present_payments(
            ts, cards, merchant, amount, PaymentOrigin(int(fresh_devices(1, rng)[0]), ip=0), rng
        )
        rows.ip[:] = own_address(population, cards, rng)
        from_own_device = np.flatnonzero(rng.random(size) < self.camouflage)
        rows.device[from_own_device] = own_device(population, cards[from_own_device], day, rng)
        return rows
