"""Leaked card: a number bought on a market is spent on the web within hours to two days."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from producers.amounts import usual_amounts
from producers.catalogue import INDEX
from producers.columns import DAY_MS
from producers.population import Population
from producers.rng import generator
from producers.typologies.base import Campaign, campaigns_today, criminal_device, usual_time, web_columns

MEAN_SIZE: Final = 3.7
_WANTED: Final = ("web_electronics", "gift_cards", "fashion", "marketplace", "travel", "digital_goods")
_HOUR_MS: Final = 3_600_000


@dataclass(frozen=True)
class LeakedCard:
    """One to ten dear purchases at different web shops; three campaigns in ten are a single one."""

    fraud_share: float = 0.0012
    """Of all transactions."""
    camouflage: float = 0.5
    """0 to 1: how near amounts, hours and devices come to the victim's own."""
    name: str = "leaked_card"
    span_days: int = 3

    def campaigns(self, population: Population, seed: int, day: int) -> list[Campaign]:
        rng = generator(seed, self.name, day)
        count = campaigns_today(population, self.fraud_share, MEAN_SIZE, rng)
        return [self._campaign(population, day, f"{self.name}-{day}-{i}", rng) for i in range(count)]

    def _campaign(
        self, population: Population, day: int, campaign_id: str, rng: np.random.Generator
    ) -> Campaign:
        card = int(rng.integers(0, len(population.cards)))
        size = 1 if rng.random() < 0.3 else 2 + min(int(rng.poisson(2.9)), 8)
        begin = usual_time(population, day, card, rng)
        if rng.random() > self.camouflage:
            begin = int(rng.integers(0, DAY_MS))
        span = np.exp(rng.uniform(np.log(2), np.log(46))) * _HOUR_MS
        offset = np.sort(rng.random(size)) * span
        ts = (day * DAY_MS + begin + offset - offset[0]).astype(np.int64)
        wanted = np.array([INDEX[name] for name in _WANTED])[rng.integers(0, len(_WANTED), size=size)]
        merchant = population.by_category.pick(population.category_or_any[wanted], rng.random(size))
        anywhere = np.flatnonzero(rng.random(size) < self.camouflage)
        merchant[anywhere] = population.by_web.pick(
            np.zeros(len(anywhere), np.int64), rng.random(len(anywhere))
        )
        cards = np.full(size, card, np.int32)
        greed = np.exp(rng.normal(0.9 * (1 - self.camouflage) + 0.25, 0.4))
        amount = (usual_amounts(population, cards, merchant, rng) * greed).astype(np.int64)
        device, ip = criminal_device(population, card, day, 0.6 * self.camouflage, rng)
        columns = web_columns(population, ts, cards, merchant, np.maximum(amount, 100), device, ip, rng)
        return Campaign(campaign_id, columns)
