"""Authorised-push scam: the victim is talked into small payments that build trust, then into a large one."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from producers.population.amounts import whole_cents
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

_FRONTS: Final = ("digital_goods", "charity", "marketplace", "travel")


@dataclass(frozen=True)
class PushScam(BaseTypology):
    """One to four small payments to one merchant over a week, then one or two of many times that.

    The victim pays from their own device and address at their own hours. Camouflage: how small the step is.
    """

    name = "push_scam"
    share = 0.0002
    span_days = 9
    mean_size = 3.7

    def transactions(self, population: Population, seed: int, day: int, rng: np.random.Generator) -> Columns:
        card = any_card(population, rng)
        trust_count, large_count = 1 + min(int(rng.poisson(1.2)), 3), 1 + int(rng.random() < 0.4)
        size = trust_count + large_count
        day_offset = np.concatenate([np.sort(rng.integers(0, 6, size=trust_count)), [6, 7][:large_count]])
        times = np.array([usual_time(population, day, card, rng) for _ in range(size)])
        ts = clip_to_span((day + day_offset) * DAY_MS + times, day, self.span_days)
        merchant = np.repeat(pick_merchants(population, _FRONTS, 1, rng), size)
        cards = np.full(size, card, np.int32)
        log_first = np.log(2_500.0) + population.cards.log_income[card]
        log_step = np.log(30) - 1.8 * self.camouflage
        log_amount = log_first + log_step * (np.arange(size) >= trust_count)
        amount = whole_cents(log_amount + 0.35 * rng.standard_normal(size))
        rows = card_not_present_payments(ts, cards, merchant, amount, NO_ORIGIN, rng)
        rows.device[:] = own_device(population, cards, day, rng)
        rows.ip[:] = own_address(population, cards, rng)
        return rows
