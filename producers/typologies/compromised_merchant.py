"""Compromised merchant: cards that paid at a skimmed shop are used elsewhere in the weeks after."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from fraudsim.arrays import Int32s, Ints
from producers.calendar.rhythm import times_of_day, to_utc
from producers.population.amounts import chargeable_amounts, usual_amounts
from producers.population.closed_shops import replace_closed_merchants
from producers.population.columns import ATM, DAY_MS, ECOMMERCE, POS, Columns
from producers.population.habits import honest_visits
from producers.population.population import Population
from producers.typologies.base import BaseTypology
from producers.typologies.building_blocks import fraudster_origin

MAX_CARDS: Final = 60
WINDOW_DAYS: Final = 3
"""The shop is skimmed on the days before the campaign starts."""
USE_DAYS: Final = 28


@dataclass(frozen=True)
class CompromisedMerchant(BaseTypology):
    """Up to `MAX_CARDS` of the cards that paid at the shop are used one to four times each.

    Six in ten uses are on the web, the rest by cloned card in a shop or at a cash machine. Camouflage: how
    many uses have the usual amount and are near the victim's home.
    """

    name = "compromised_merchant"
    share = 0.0005
    span_days = USE_DAYS
    mean_size = 93.0

    def transactions(self, population: Population, seed: int, day: int, rng: np.random.Generator) -> Columns:
        visits = [honest_visits(population, seed, visit_day) for visit_day in range(day - WINDOW_DAYS, day)]
        visitor = np.concatenate([cards for cards, _ in visits])
        visited = np.concatenate([merchants for _, merchants in visits])
        in_shop = np.flatnonzero(~population.merchants.online[visited])
        # A busy shop, as a skimmer would choose: the busiest of the merchants of six random payments.
        candidates = visited[in_shop[rng.integers(0, len(in_shop), size=6)]] if len(in_shop) else visited[:1]
        counts = np.bincount(visited)[candidates]
        shop = candidates[int(np.argmax(np.minimum(counts, MAX_CARDS)))] if len(candidates) else -1
        skimmed = np.unique(visitor[visited == shop])
        stolen_cards = rng.permutation(skimmed)[: min(MAX_CARDS, max(1, int(len(skimmed) * 0.6)))]
        uses_per_card = 1 + (rng.random((len(stolen_cards), 3)) < 0.35).sum(axis=1)
        card = np.repeat(stolen_cards, uses_per_card).astype(np.int32)
        # Each card is used within hours, the batch over four weeks.
        begin = rng.integers(0, USE_DAYS - 1, size=len(stolen_cards)) * DAY_MS
        time_of_day = times_of_day(day, population.cards.rhythm[stolen_cards], rng)
        begin += to_utc(time_of_day, population.cards.zone[stolen_cards])
        ts = day * DAY_MS + np.repeat(begin, uses_per_card) + rng.integers(0, 6 * 3_600_000, size=len(card))
        return self._payments(population, day, ts, card, rng)

    def _payments(
        self,
        population: Population,
        day: int,
        ts: Ints,
        card: Int32s,
        rng: np.random.Generator,
    ) -> Columns:
        count = len(ts)
        on_web = rng.random(count) < 0.6
        merchant = population.web_shops.pick(np.zeros(count, np.int64), rng.random(count))
        near_home = rng.random(count) < 0.2 + 0.4 * self.camouflage
        city = np.where(
            near_home, population.cards.city[card], rng.integers(0, population.cities, size=count)
        )
        city = city.astype(np.int64)
        card_present = np.flatnonzero(~on_web & population.shops_by_city.has(city))
        merchant[card_present] = population.shops_by_city.pick(
            city[card_present], rng.random(len(card_present))
        )
        merchant = replace_closed_merchants(population, ts, merchant, rng)
        on_web = population.merchants.online[merchant]
        at_cash_machine = population.merchants.mcc[merchant] == 6011
        channel = np.select([on_web, at_cash_machine], [ECOMMERCE, ATM], POS).astype(np.int8)
        amount_factor = np.where(
            rng.random(count) < self.camouflage, 1.0, np.exp(rng.normal(1.0, 0.4, size=count))
        )
        amount = (usual_amounts(population, card, merchant, rng) * amount_factor).astype(np.int64)
        device = np.zeros(count, np.uint64)
        ip = np.zeros(count, np.uint32)
        for row in np.flatnonzero(on_web):
            device[row], ip[row] = fraudster_origin(
                population, int(card[row]), day, 0.5 * self.camouflage, rng
            )
        device[rng.random(count) < 0.25] = 0
        return Columns(
            ts,
            card,
            merchant,
            channel,
            chargeable_amounts(population, merchant, np.maximum(amount, 100)),
            device,
            ip,
        )
