"""Slow drip: small charges below every threshold, every few days, for weeks."""

from dataclasses import dataclass

import numpy as np

from producers.calendar.rhythm import HOUR_MS
from producers.population.amounts import whole_cents
from producers.population.columns import DAY_MS, RECURRING, Columns
from producers.population.population import Population
from producers.typologies.base import BaseTypology
from producers.typologies.building_blocks import (
    NO_ORIGIN,
    any_card,
    card_not_present_payments,
    clip_to_span,
    fraudster_origin,
    pick_merchants,
)


@dataclass(frozen=True)
class SlowDrip(BaseTypology):
    """Five to fourteen charges of five to thirty euros at one or two web merchants over four weeks.

    Camouflage: how often they imitate a subscription, and how steady the amounts are.
    """

    name = "slow_drip"
    share = 0.0002
    span_days = 28
    mean_size = 9.5

    def transactions(self, population: Population, seed: int, day: int, rng: np.random.Generator) -> Columns:
        card = any_card(population, rng)
        size = int(rng.integers(5, 15))
        step_days = (self.span_days - 1) / size
        day_offset = np.arange(size) * step_days + rng.random(size) * step_days * (1 - 0.8 * self.camouflage)
        ts = clip_to_span(
            day * DAY_MS + day_offset * DAY_MS + rng.random(size) * 3 * HOUR_MS, day, self.span_days
        )
        mandate = rng.random() < self.camouflage
        kinds = ("streaming", "telecom") if mandate else ("digital_goods", "games", "marketplace")
        shops = pick_merchants(population, kinds, 1 + int(rng.random() < 0.4), rng)
        sigma = 0.5 - 0.45 * self.camouflage
        log_amount = rng.uniform(np.log(500), np.log(2500)) + sigma * rng.standard_normal(size)
        amount = np.minimum(whole_cents(log_amount), 2_990)
        cards = np.full(size, card, np.int32)
        origin = NO_ORIGIN if mandate else fraudster_origin(population, card, day, 0.0, rng)
        rows = card_not_present_payments(ts, cards, rng.choice(shops, size=size), amount, origin, rng)
        if mandate:
            rows.channel[:] = RECURRING
        return rows
