"""Merchant collusion: a small shop looks honest for days, then charges stolen cards and disappears."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from fraudsim.arrays import Int32s, Ints
from producers.calendar.opening_hours import are_open
from producers.calendar.rhythm import times_of_day, to_utc
from producers.population.amounts import is_cash_machine, whole_cents
from producers.population.closed_shops import closed_rows, redraw_times
from producers.population.columns import DAY_MS, EMPTY, Columns
from producers.population.population import Population
from producers.typologies.base import BaseTypology
from producers.typologies.building_blocks import card_present_payments, clip_to_span

_MAX_REDRAWS: Final = 3
"""Draws of a time within the shop's hours."""


@dataclass(frozen=True)
class MerchantCollusion(BaseTypology):
    """Fifteen to sixty charges over ten days at one little-known merchant, most in the last two (bust-out).

    Camouflage: how evenly they are spread over the ten days, and how usual the amounts are at the merchant.
    """

    name = "merchant_collusion"
    share = 0.0002
    span_days = 10
    mean_size = 34.0
    follows_tempo = False

    def transactions(self, population: Population, seed: int, day: int, rng: np.random.Generator) -> Columns:
        size = min(int(rng.integers(15, 61)), len(population.cards))
        card = rng.choice(len(population.cards), size=size, replace=False).astype(np.int32)
        shops = np.flatnonzero(~population.merchants.online)
        shops = shops[~is_cash_machine(population, shops.astype(np.int32))]
        # A shop that opens on Sundays too, so that the bust-out loses no day.
        shops = shops[population.merchants.hours.opens_on_sundays[shops]]
        little_known = shops[np.argsort(population.merchants.popularity[shops])][: max(1, len(shops) // 3)]
        if not len(little_known):
            return EMPTY
        merchant = np.full(size, rng.choice(little_known), np.int32)
        before_bust_out = rng.random(size) < 0.15 + 0.6 * self.camouflage
        day_offset = np.where(before_bust_out, rng.integers(0, 8, size=size), rng.integers(8, 10, size=size))
        times = to_utc(times_of_day(day, population.cards.rhythm[card], rng), population.cards.zone[card])
        ts = clip_to_span((day + day_offset) * DAY_MS + times, day, self.span_days)
        ts = self._move_into_hours(population, ts, card, merchant, rng)
        log_amount = (
            np.log(6_000.0)
            + 1.0 * (1 - self.camouflage) * ~before_bust_out[np.argsort(day_offset, kind="stable")]
        )
        amount = whole_cents(log_amount + 0.5 * rng.standard_normal(size))
        rows = card_present_payments(population, ts, card, merchant, amount)
        # Payments still outside its hours, at their edges, are dropped.
        return rows.take(are_open(population.merchants.hours, population.merchants.zone, merchant, ts))

    @staticmethod
    def _move_into_hours(
        population: Population,
        ts: Ints,
        card: Int32s,
        merchant: Int32s,
        rng: np.random.Generator,
    ) -> Ints:
        """Sorted times (ms UTC), drawn anew while the shop is closed."""
        moved, zone = ts.copy(), population.merchants.zone[merchant]
        for _ in range(_MAX_REDRAWS):
            closed = closed_rows(population, moved, merchant)
            moved[closed] = redraw_times(
                population, moved[closed], card[closed], zone[closed], merchant[closed], rng
            )
        return np.sort(moved)
