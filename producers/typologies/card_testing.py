"""Card testing: a stolen number is tried in small amounts, many times in half an hour, then used."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from producers.amounts import usual_amounts, whole_cents
from producers.catalogue import INDEX
from producers.columns import DAY_MS
from producers.population import Population
from producers.rhythm import MINUTE_MS
from producers.rng import generator
from producers.typologies.base import Campaign, campaigns_today, criminal_device, usual_time, web_columns

MEAN_SIZE: Final = 9.3
_TRIES: Final = ("digital_goods", "games", "charity", "food_delivery")
_PRIZES: Final = ("marketplace", "web_electronics", "gift_cards", "fashion")


@dataclass(frozen=True)
class CardTesting:
    """Five to twelve small card-not-present authorisations, and in four of five cases a dear one after."""

    fraud_share: float = 0.0013
    """Of all transactions."""
    camouflage: float = 0.5
    """0 to 1: how many tries cost what the shop usually costs, and come from the victim's own device."""
    name: str = "card_testing"
    span_days: int = 2

    def campaigns(self, population: Population, seed: int, day: int) -> list[Campaign]:
        rng = generator(seed, self.name, day)
        count = campaigns_today(population, self.fraud_share, MEAN_SIZE, rng)
        return [self._campaign(population, day, f"{self.name}-{day}-{i}", rng) for i in range(count)]

    def _campaign(
        self, population: Population, day: int, campaign_id: str, rng: np.random.Generator
    ) -> Campaign:
        card = int(rng.integers(0, len(population.cards)))
        tries = int(rng.integers(5, 13))
        begin = int(rng.integers(0, DAY_MS))
        if rng.random() < self.camouflage:
            begin = usual_time(population, day, card, rng)
        ts = day * DAY_MS + begin + np.sort(rng.random(tries)) * rng.uniform(8, 32) * MINUTE_MS
        shops = self._pick(population, _TRIES, int(rng.integers(1, 4)), rng)
        merchant = rng.choice(shops, size=tries)
        cards = np.full(tries, card, np.int32)
        usual = usual_amounts(population, cards, merchant, rng)
        small = whole_cents(np.log(220.0) + 0.6 * rng.standard_normal(tries))
        # No cut at a round figure: a pile of equal amounts would give the campaign away.
        as_usual = (rng.random(tries) < self.camouflage) & (usual <= 2500)
        amount = np.where(as_usual, usual, small)
        if rng.random() < 0.8:
            ts = np.append(ts, ts[-1] + rng.uniform(2, 45) * MINUTE_MS)
            prize = self._pick(population, _PRIZES, 1, rng)
            merchant = np.append(merchant, prize)
            cards = np.append(cards, np.int32(card))
            dear = usual_amounts(population, cards[-1:], prize, rng) * rng.uniform(1.2, 3.5)
            amount = np.append(amount, 3000 + dear.astype(np.int64))
        device, ip = criminal_device(population, card, day, 0.5 * self.camouflage, rng)
        columns = web_columns(population, ts.astype(np.int64), cards, merchant, amount, device, ip, rng)
        return Campaign(campaign_id, columns)

    @staticmethod
    def _pick(
        population: Population, names: tuple[str, ...], count: int, rng: np.random.Generator
    ) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
        wanted = np.array([INDEX[name] for name in names])[rng.integers(0, len(names), size=count)]
        return population.by_category.pick(population.category_or_any[wanted], rng.random(count))
