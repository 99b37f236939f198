"""Account takeover: a stranger logs in where the card is on file, buys something small, then expensive."""

from dataclasses import dataclass

import numpy as np

from producers.calendar.rhythm import HOUR_MS
from producers.population.amounts import usual_amounts
from producers.population.columns import DAY_MS, Columns
from producers.population.population import Population
from producers.typologies.base import BaseTypology
from producers.typologies.building_blocks import (
    any_card,
    card_not_present_payments,
    clip_to_span,
    fraudster_origin,
    pick_merchants,
    usual_time,
)


@dataclass(frozen=True)
class AccountTakeover(BaseTypology):
    """One small purchase from a new device at a shop the victim uses, then one to four expensive ones.

    Camouflage: time before the expensive purchases, their amounts, and whether the IP address is the victim's
    carrier's.
    """

    name = "account_takeover"
    share = 0.0003
    span_days = 4
    mean_size = 3.2

    def transactions(self, population: Population, seed: int, day: int, rng: np.random.Generator) -> Columns:
        card = any_card(population, rng)
        purchases = 1 + min(int(rng.poisson(1.2)), 3)
        begin = day * DAY_MS + usual_time(population, day, card, rng)
        wait_ms = np.exp(rng.normal(np.log(0.5 + 12 * self.camouflage), 0.6)) * HOUR_MS
        purchase_ts = begin + wait_ms + np.cumsum(rng.exponential(1.5 * HOUR_MS, size=purchases))
        ts = clip_to_span(np.concatenate([[begin], purchase_ts]), day, self.span_days)
        own_shops = population.cards.repertoire[card]
        own_shops = own_shops[population.merchants.online[own_shops]]
        first_shop = (
            rng.choice(own_shops, size=1)
            if len(own_shops)
            else pick_merchants(population, ["marketplace"], 1, rng)
        )
        later_shops = pick_merchants(
            population, ("web_electronics", "travel", "gift_cards", "marketplace"), purchases, rng
        )
        merchant = np.concatenate([first_shop, later_shops]).astype(np.int32)
        cards = np.full(purchases + 1, card, np.int32)
        usual = usual_amounts(population, cards, merchant, rng)
        amount_factor = np.exp(rng.normal(1.2 * (1 - self.camouflage) + 0.3, 0.3, size=purchases + 1))
        amount_factor[0] = 0.4
        origin = fraudster_origin(population, card, day, 0.0, rng)
        if rng.random() < self.camouflage:
            origin = origin._replace(ip=int(population.cards.carrier_ip[card]))
        amount = np.maximum((usual * amount_factor).astype(np.int64), 100)
        return card_not_present_payments(ts, cards, merchant, amount, origin, rng)
