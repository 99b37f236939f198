"""Building blocks of campaigns: victims, merchants, times, devices and payments."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from fraudsim.arrays import Doubles, Int32s, Ints
from producers.calendar.rhythm import HOUR_MS, time_of_day
from producers.population.amounts import chargeable_amounts, is_cash_machine
from producers.population.columns import ATM, DAY_MS, ECOMMERCE, POS, Columns, ipv4_address
from producers.population.devices import fresh_devices, own_device
from producers.population.population import Population
from producers.reference import CATEGORY_INDEX
from producers.rng import words64


class PaymentOrigin(NamedTuple):
    """Where a web payment comes from; 0 is absent."""

    device: int
    ip: int


NO_ORIGIN: Final = PaymentOrigin(0, 0)


def any_card(population: Population, rng: np.random.Generator) -> int:
    """A card, all with equal chance."""
    return int(rng.integers(0, len(population.cards)))


def pick_merchants(
    population: Population, names: Sequence[str], count: int, rng: np.random.Generator
) -> Int32s:
    """Merchants by popularity, each of one of the named categories, chosen with equal chance."""
    category = np.array([CATEGORY_INDEX[name] for name in names])[rng.integers(0, len(names), size=count)]
    return population.merchants_by_category.pick(population.category_fallback[category], rng.random(count))


def pick_city_shops(population: Population, city: int, count: int, rng: np.random.Generator) -> Int32s:
    """Shops and cash machines of a city, open or closed; any merchants if the city has none."""
    cities = np.full(count, city, np.int64)
    if not population.shops_by_city.has(cities[:1])[0]:
        return rng.integers(0, len(population.merchants), size=count).astype(np.int32)
    return population.shops_by_city.pick(cities, rng.random(count))


def usual_time(population: Population, day: int, card: int, rng: np.random.Generator) -> int:
    """A time from the card's own rhythm, ms since midnight UTC."""
    cards = population.cards
    local = time_of_day(day, int(cards.rhythm[card]), rng)
    return (local - int(cards.zone[card]) * HOUR_MS) % DAY_MS


def clip_to_span(ts: Doubles | Ints, day: int, span_days: int) -> Ints:
    """Sorted times (ms UTC), none past the last of `span_days` days from `day` on."""
    return np.minimum(np.sort(ts).astype(np.int64), (day + span_days) * DAY_MS - 1)


def fraudster_origin(
    population: Population, card: int, day: int, imitation: float, rng: np.random.Generator
) -> PaymentOrigin:
    """The origin of payments against a card: fresh, or each part with chance `imitation` the victim's own."""
    device = int(fresh_devices(1, rng)[0])
    ip = int(ipv4_address(words64(rng, 1))[0])
    draw = rng.random(2)
    if draw[0] < imitation:
        device = int(own_device(population, np.array([card], np.int32), day, rng)[0])
    if draw[1] < imitation:
        ip = int(population.cards.carrier_ip[card])
    return PaymentOrigin(device, ip)


def card_present_payments(
    population: Population,
    ts: Ints,
    card: Int32s,
    merchant: Int32s,
    amount_cents: Ints,
) -> Columns:
    """Payments with the card or a copy of it: no device, no address; at web shops with the card number.

    Shops must be open: move or replace closed ones (`population.closed_shops`) before amounts are drawn.
    """
    channel_tests = [population.merchants.online[merchant], is_cash_machine(population, merchant)]
    return Columns(
        ts=ts,
        card=card,
        merchant=merchant,
        channel=np.select(channel_tests, [ECOMMERCE, ATM], POS).astype(np.int8),
        amount_cents=chargeable_amounts(population, merchant, np.maximum(amount_cents, 100)),
        device=np.zeros(len(ts), np.uint64),
        ip=np.zeros(len(ts), np.uint32),
    )


def card_not_present_payments(
    ts: Ints,
    card: Int32s,
    merchant: Int32s,
    amount_cents: Ints,
    origin: PaymentOrigin,
    rng: np.random.Generator,
) -> Columns:
    """Web payments from one device and address; a quarter of the merchants pass no device on."""
    count = len(ts)
    devices = np.full(count, origin.device, np.uint64)
    devices[rng.random(count) < 0.25] = 0
    return Columns(
        ts=ts,
        card=card,
        merchant=merchant,
        channel=np.full(count, ECOMMERCE, np.int8),
        amount_cents=amount_cents,
        device=devices,
        ip=np.full(count, origin.ip, np.uint32),
    )
