"""What a fraud typology is: a way to make the campaigns that start on a day.

To add one: a frozen dataclass with `name`, `span_days` and `campaigns` in a file of its own, and a
line in the registry. `tests/producers/test_typologies.py` holds every one to the same contract.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from producers.columns import ECOMMERCE, Columns
from producers.habits import fresh_devices, own_device
from producers.population import Population, address
from producers.rhythm import times_of_day, to_utc


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


def campaigns_today(
    population: Population, fraud_share: float, mean_size: float, rng: np.random.Generator
) -> int:
    """How many start on a day, if `fraud_share` of all transactions shall be this typology's."""
    return int(rng.poisson(population.transactions_per_day * fraud_share / mean_size))


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
    local = times_of_day(day, cards.rhythm[card : card + 1], rng)
    return int(to_utc(local, cards.zone[card : card + 1])[0])


def criminal_device(
    population: Population, card: int, day: int, as_victim: float, rng: np.random.Generator
) -> tuple[int, int]:
    """Device and address used against a card: fresh, or with chance `as_victim` like the victim's own."""
    device = int(fresh_devices(1, rng)[0])
    ip = int(address(rng.integers(0, 2**64, size=1, dtype=np.uint64))[0])
    draw = rng.random(2)
    if draw[0] < as_victim:
        device = int(own_device(population, np.array([card], np.int32), day, rng)[0])
    if draw[1] < as_victim:
        ip = int(population.cards.carrier_ip[card])
    return device, ip
