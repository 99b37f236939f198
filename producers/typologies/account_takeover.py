"""Account takeover: a stranger logs in where the card is on file, tries little, then orders dear."""

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
    fraudster_device,
    pick_merchants,
    usual_time,
)


@dataclass(frozen=True)
class AccountTakeover(BaseTypology):
    """One small purchase from a new device at a shop the victim uses, then one to four dear ones.

    Camouflage: how much time passes before the dear ones, how dear they are, and whether the address is
    the victim's carrier's.
    """

    name = "account_takeover"
    share = 0.0003
    span_days = 4
    mean_size = 3.2

    def transactions(self, population: Population, seed: int, day: int, rng: np.random.Generator) -> Columns:
        card = any_card(population, rng)
        dear = 1 + min(int(rng.poisson(1.2)), 3)
        begin = day * DAY_MS + usual_time(population, day, card, rng)
        wait = np.exp(rng.normal(np.log(0.5 + 12 * self.camouflage), 0.6)) * HOUR_MS
        later = begin + wait + np.cumsum(rng.exponential(1.5 * HOUR_MS, size=dear))
        ts = clip_to_span(np.concatenate([[begin], later]), day, self.span_days)
        mine = population.cards.repertoire[card]
        mine = mine[population.merchants.online[mine]]
        shop = rng.choice(mine, size=1) if len(mine) else pick_merchants(population, ["marketplace"], 1, rng)
        prizes = pick_merchants(
            population, ("web_electronics", "travel", "gift_cards", "marketplace"), dear, rng
        )
        merchant = np.concatenate([shop, prizes]).astype(np.int32)
        cards = np.full(dear + 1, card, np.int32)
        usual = usual_amounts(population, cards, merchant, rng)
        greed = np.exp(rng.normal(1.2 * (1 - self.camouflage) + 0.3, 0.3, size=dear + 1))
        greed[0] = 0.4
        device, ip = fraudster_device(population, card, day, 0.0, rng)
        if rng.random() < self.camouflage:
            ip = int(population.cards.carrier_ip[card])
        amount = np.maximum((usual * greed).astype(np.int64), 100)
        return card_not_present_payments(population, ts, cards, merchant, amount, device, ip, rng)
