"""BIN attack: generated numbers of one issuer are tried at one web shop, many cards within minutes."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from producers.calendar.rhythm import MINUTE_MS
from producers.population.amounts import whole_cents
from producers.population.columns import DAY_MS, Columns, concatenate, ipv4_address
from producers.population.devices import fresh_devices
from producers.population.population import Population
from producers.typologies.base import BaseTypology
from producers.typologies.building_blocks import PaymentOrigin, card_not_present_payments, pick_merchants

_SHOPS: Final = ("digital_goods", "games", "charity")
_MAX_CARDS: Final = 40


@dataclass(frozen=True)
class BinAttack(BaseTypology):
    """Ten to forty cards, one or two tiny authorisations each, at one shop; a few are spent by the next day.

    Camouflage: how far the tries are spread in time (20 minutes to 4 hours) and over addresses.
    """

    name = "bin_attack"
    share = 0.0004
    span_days = 2
    mean_size = 32.0

    def transactions(self, population: Population, seed: int, day: int, rng: np.random.Generator) -> Columns:
        card_count = min(int(rng.integers(10, _MAX_CARDS + 1)), len(population.cards))
        valid_cards = rng.choice(len(population.cards), size=card_count, replace=False).astype(np.int32)
        card = np.repeat(valid_cards, 1 + (rng.random(card_count) < 0.2))
        minutes = 20 + self.camouflage * rng.uniform(0, 220)
        begin = day * DAY_MS + rng.integers(0, DAY_MS - 1)
        ts = (begin + np.sort(rng.random(len(card))) * minutes * MINUTE_MS).astype(np.int64)
        merchant = np.repeat(pick_merchants(population, _SHOPS, 1, rng), len(card))
        amount = whole_cents(np.log(150.0) + 0.5 * rng.standard_normal(len(card)))
        origin = PaymentOrigin(int(fresh_devices(1, rng)[0]), ip=0)
        tries = card_not_present_payments(ts, rng.permutation(card), merchant, amount, origin, rng)
        # A botnet: more addresses with more camouflage.
        addresses = ipv4_address(rng.integers(0, 2**64, size=1 + int(self.camouflage * 20), dtype=np.uint64))
        tries.ip[:] = rng.choice(addresses, size=len(card))
        tries.device[rng.random(len(card)) < self.camouflage] = 0
        return concatenate([tries, self._purchases(population, ts[-1], valid_cards, rng)])

    @staticmethod
    def _purchases(
        population: Population, after_ms: np.int64, valid_cards: np.ndarray, rng: np.random.Generator
    ) -> Columns:
        spent_cards = valid_cards[rng.random(len(valid_cards)) < 0.12]
        ts = after_ms + rng.integers(10 * MINUTE_MS, 12 * 60 * MINUTE_MS, size=len(spent_cards))
        ts = np.minimum(ts, (after_ms // DAY_MS + 1) * DAY_MS - 1)
        merchant = pick_merchants(
            population, ("web_electronics", "gift_cards", "marketplace"), len(spent_cards), rng
        )
        amount = whole_cents(np.log(14_000.0) + 0.5 * rng.standard_normal(len(spent_cards)))
        device = int(fresh_devices(1, rng)[0])
        ip = int(ipv4_address(rng.integers(0, 2**64, size=1, dtype=np.uint64))[0])
        return card_not_present_payments(
            ts.astype(np.int64), spent_cards, merchant, amount, PaymentOrigin(device, ip), rng
        )
