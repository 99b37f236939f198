"""What a fraud typology is: a way to make the campaigns that start on a day.

To add one: a frozen dataclass on `Scheme` with its figures and `transactions` in a file of its own, and a
line in the registry. `tests/producers/test_typologies.py` holds every one to the same contract.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from producers.calendar.rhythm import HOUR_MS, time_of_day
from producers.calendar.seasons import level
from producers.population.amounts import gives_cash, payable
from producers.population.columns import ATM, DAY_MS, ECOMMERCE, POS, Columns
from producers.population.habits import fresh_devices, own_device
from producers.population.population import Population, address
from producers.reference import INDEX
from producers.rng import generator, words64


@dataclass(frozen=True, eq=False)
class Campaign:
    """One fraudster's doing: every transaction of it is fraud."""

    campaign_id: str
    columns: Columns


class Typology(Protocol):
    """Pure and keyed by (seed, day): the same arguments give the same campaigns."""

    @property
    def name(self) -> str:
        """In lower case with underscores; what `Truth.typology` says."""
        ...

    @property
    def span_days(self) -> int:
        """A campaign's transactions fall on its first day or one of the `span_days - 1` after it."""
        ...

    def campaigns(self, population: Population, seed: int, day: int) -> list[Campaign]:
        """Campaigns starting on a day (counted from 1970-01-01); ids are unique over all days."""
        ...


@dataclass(frozen=True)
class Scheme(ABC):
    """A typology whose campaigns are independent of each other; a `Typology`."""

    fraud_share: float
    """Of all transactions."""
    camouflage: float = 0.5
    """0 to 1: how much care is taken to look like the victim."""

    name: ClassVar[str]
    share: ClassVar[float]
    """`fraud_share` of the default mix."""
    span_days: ClassVar[int]
    mean_size: ClassVar[float]
    """Transactions expected of one campaign."""

    def campaigns(self, population: Population, seed: int, day: int) -> list[Campaign]:
        rng = generator(seed, self.name, day)
        # Fraud follows the traffic of the year, so that its share is the same in every season.
        usual = population.transactions_per_day * population.growth.factor(day) * level(day)
        expected = usual * self.fraud_share / self.mean_size
        made = [
            Campaign(f"{self.name}-{day}-{i}", self.transactions(population, seed, day, rng))
            for i in range(int(rng.poisson(expected)))
        ]
        return [campaign for campaign in made if len(campaign.columns)]

    @abstractmethod
    def transactions(self, population: Population, seed: int, day: int, rng: np.random.Generator) -> Columns:
        """One campaign that starts on a day; empty where nobody fits."""


def pick(
    population: Population, names: Sequence[str], count: int, rng: np.random.Generator
) -> NDArray[np.int32]:
    """Merchants of any of some categories, by popularity."""
    wanted = np.array([INDEX[name] for name in names])[rng.integers(0, len(names), size=count)]
    return population.by_category.pick(population.category_or_any[wanted], rng.random(count))


def shops_in(population: Population, city: int, count: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Shops and cash machines of a city, open or closed; anything at all where it has none."""
    there = np.full(count, city, np.int64)
    if not population.by_city.has(there[:1])[0]:
        return rng.integers(0, len(population.merchants), size=count).astype(np.int32)
    return population.by_city.pick(there, rng.random(count))


def someone(population: Population, rng: np.random.Generator) -> int:
    """Any card, with equal chance."""
    return int(rng.integers(0, len(population.cards)))


def at_the_counter(
    population: Population,
    ts: NDArray[np.int64],
    card: NDArray[np.int32],
    merchant: NDArray[np.int32],
    amount_cents: NDArray[np.int64],
) -> Columns:
    """Payments with the plastic itself, or a copy: no device, no address; web shops see a card number.

    Only at shops that are open: `closed_shops` finds another one or another hour, before there is an amount.
    """
    kinds = np.array([population.merchants.online[merchant], gives_cash(population, merchant)])
    return Columns(
        ts=ts,
        card=card,
        merchant=merchant,
        channel=np.select(list(kinds), [ECOMMERCE, ATM], POS).astype(np.int8),
        amount_cents=payable(population, merchant, np.maximum(amount_cents, 100)),
        device=np.zeros(len(ts), np.uint64),
        ip=np.zeros(len(ts), np.uint32),
    )


def within_span(ts: NDArray[np.float64] | NDArray[np.int64], day: int, span_days: int) -> NDArray[np.int64]:
    """Times in order, none past a campaign's last day."""
    return np.minimum(np.sort(ts).astype(np.int64), (day + span_days) * DAY_MS - 1)


def web_columns(
    population: Population,
    ts: NDArray[np.int64],
    card: NDArray[np.int32],
    merchant: NDArray[np.int32],
    amount_cents: NDArray[np.int64],
    device: int,
    ip: int,
    rng: np.random.Generator,
) -> Columns:
    """Card-not-present transactions from one device and address; a quarter of shops pass no device on."""
    count = len(ts)
    devices = np.full(count, device, np.uint64)
    devices[rng.random(count) < 0.25] = 0
    return Columns(
        ts=ts,
        card=card,
        merchant=merchant,
        channel=np.full(count, ECOMMERCE, np.int8),
        amount_cents=amount_cents,
        device=devices,
        ip=np.full(count, ip, np.uint32),
    )


def usual_time(population: Population, day: int, card: int, rng: np.random.Generator) -> int:
    """A time at which the card itself might pay, ms since midnight UTC."""
    cards = population.cards
    local = time_of_day(day, int(cards.rhythm[card]), rng)
    return (local - int(cards.zone[card]) * HOUR_MS) % DAY_MS


def criminal_device(
    population: Population, card: int, day: int, as_victim: float, rng: np.random.Generator
) -> tuple[int, int]:
    """Device and address used against a card: fresh, or with chance `as_victim` like the victim's own."""
    device = int(fresh_devices(1, rng)[0])
    ip = int(address(words64(rng, 1))[0])
    draw = rng.random(2)
    if draw[0] < as_victim:
        device = int(own_device(population, np.array([card], np.int32), day, rng)[0])
    if draw[1] < as_victim:
        ip = int(population.cards.carrier_ip[card])
    return device, ip
