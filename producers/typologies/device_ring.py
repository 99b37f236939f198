"""Device ring: a few devices of one gang use many people's cards for one or two purchases each."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from producers.population.amounts import usual_amounts
from producers.population.columns import DAY_MS, Columns, ipv4_address
from producers.population.devices import fresh_devices
from producers.population.population import Population
from producers.typologies.base import BaseTypology
from producers.typologies.building_blocks import (
    NO_ORIGIN,
    card_not_present_payments,
    clip_to_span,
    pick_merchants,
)

_CATEGORIES: Final = ("fashion", "web_electronics", "marketplace", "gift_cards", "food_delivery")


@dataclass(frozen=True)
class DeviceRing(BaseTypology):
    """Six to twenty-five cards within five days, over one to five devices and addresses.

    Camouflage: number of devices and addresses, and how usual the amounts are.
    """

    name = "device_ring"
    share = 0.0003
    span_days = 5
    mean_size = 20.0

    def transactions(self, population: Population, seed: int, day: int, rng: np.random.Generator) -> Columns:
        card_count = min(int(rng.integers(6, 26)), len(population.cards))
        victims = rng.choice(len(population.cards), size=card_count, replace=False).astype(np.int32)
        card = np.repeat(victims, 1 + (rng.random(card_count) < 0.3))
        size = len(card)
        ts = clip_to_span(day * DAY_MS + rng.random(size) * self.span_days * DAY_MS, day, self.span_days)
        merchant = pick_merchants(population, _CATEGORIES, size, rng)
        amount_factor = np.exp(rng.normal(0.8 * (1 - self.camouflage), 0.35, size=size))
        cards = rng.permutation(card)
        amount = np.maximum(
            (usual_amounts(population, cards, merchant, rng) * amount_factor).astype(np.int64), 100
        )
        rows = card_not_present_payments(ts, cards, merchant, amount, NO_ORIGIN, rng)
        device_count = 1 + int(self.camouflage * 8)
        device_index = rng.integers(0, device_count, size=size)
        rows.device[:] = np.where(rng.random(size) < 0.25, 0, fresh_devices(device_count, rng)[device_index])
        rows.ip[:] = ipv4_address(rng.integers(0, 2**64, size=device_count, dtype=np.uint64))[device_index]
        return rows
