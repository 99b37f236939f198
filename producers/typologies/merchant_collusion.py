"""Merchant collusion: a small shop that looks honest for days, then charges stolen cards and is gone."""

from dataclasses import dataclass

import numpy as np

from producers.amounts import gives_cash, whole_cents
from producers.columns import DAY_MS, EMPTY, Columns
from producers.population import Population
from producers.rhythm import times_of_day, to_utc
from producers.typologies.base import Scheme, at_the_counter, within_span


@dataclass(frozen=True)
class MerchantCollusion(Scheme):
    """Fifteen to sixty charges over ten days at one little-known merchant, most in the last two (bust-out).

    Camouflage: how evenly they fall over the ten days, and how usual the amounts are there.
    """

    name = "merchant_collusion"
    share = 0.0002
    span_days = 10
    mean_size = 34.0

    def transactions(self, population: Population, seed: int, day: int, rng: np.random.Generator) -> Columns:
        size = min(int(rng.integers(15, 61)), len(population.cards))
        card = rng.choice(len(population.cards), size=size, replace=False).astype(np.int32)
        shops = np.flatnonzero(~population.merchants.online)
        shops = shops[~gives_cash(population, shops.astype(np.int32))]
        unknown = shops[np.argsort(population.merchants.popularity[shops])][: max(1, len(shops) // 3)]
        if not len(unknown):
            return EMPTY
        merchant = np.full(size, rng.choice(unknown), np.int32)
        early = rng.random(size) < 0.15 + 0.6 * self.camouflage
        on = np.where(early, rng.integers(0, 8, size=size), rng.integers(8, 10, size=size))
        clock = to_utc(times_of_day(day, population.cards.rhythm[card], rng), population.cards.zone[card])
        ts = within_span((day + on) * DAY_MS + clock, day, self.span_days)
        level = np.log(6_000.0) + 1.0 * (1 - self.camouflage) * ~early[np.argsort(on, kind="stable")]
        amount = whole_cents(level + 0.5 * rng.standard_normal(size))
        return at_the_counter(population, ts, card, merchant, amount)
