"""What campaigns are made of: victims, merchants, times, devices and payments."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from producers.calendar.rhythm import HOUR_MS, time_of_day
from producers.population.amounts import chargeable_amounts, is_cash_machine
from producers.population.columns import ATM, DAY_MS, ECOMMERCE, POS, Columns, ipv4_address
from producers.population.devices import fresh_devices, own_device
from producers.population.population import Population
from producers.reference import CATEGORY_INDEX
from producers.rng import words64


def pick_merchants(
    population: Population, names: Sequence[str], count: int, rng: np.random.Generator
) -> NDArray[np.int32]:
    """Merchants of any of some categories, by popularity."""
    wanted = np.array([CATEGORY_INDEX[name] for name in names])[rng.integers(0, len(names), size=count)]
    return population.merchants_by_category.pick(population.category_fallback[wanted], rng.random(count))


def pick_city_shops(
    population: Population, city: int, count: int, rng: np.random.Generator
) -> NDArray[np.int32]:
    """Shops and cash machines of a city, open or closed; anything at all where it has none."""
    there = np.full(count, city, np.int64)
    if not population.shops_by_city.has(there[:1])[0]:
        return rng.integers(0, len(population.merchants), size=count).astype(np.int32)
    return population.shops_by_city.pick(there, rng.random(count))


def any_card(population: Population, rng: np.random.Generator) -> int:
    """Any card, with equal chance."""
    return int(rng.integers(0, len(population.cards)))


def card_present_payments(
    population: Population,
    ts: NDArray[np.int64],
    card: NDArray[np.int32],
    merchant: NDArray[np.int32],
    amount_cents: NDArray[np.int64],
) -> Columns:
    """Payments with the plastic itself, or a copy: no device, no address; web shops see a card number.

    Only at shops that are open: `closed_shops` finds another one or another hour, before there is an amount.
    """
    kinds = np.array([population.merchants.online[merchant], is_cash_machine(population, merchant)])
    return Columns(
        ts=ts,
        card=card,
        merchant=merchant,
        channel=np.select(list(kinds), [ECOMMERCE, ATM], POS).astype(np.int8),
        amount_cents=chargeable_amounts(population, merchant, np.maximum(amount_cents, 100)),
        device=np.zeros(len(ts), np.uint64),
        ip=np.zeros(len(ts), np.uint32),
    )


def clip_to_span(ts: NDArray[np.float64] | NDArray[np.int64], day: int, span_days: int) -> NDArray[np.int64]:
    """Times in order, none past a campaign's last day."""
    return np.minimum(np.sort(ts).astype(np.int64), (day + span_days) * DAY_MS - 1)


def card_not_present_payments(
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


def fraudster_device(
    population: Population, card: int, day: int, as_victim: float, rng: np.random.Generator
) -> tuple[int, int]:
    """Device and address used against a card: fresh, or with chance `as_victim` like the victim's own."""
    device = int(fresh_devices(1, rng)[0])
    ip = int(ipv4_address(words64(rng, 1))[0])
    draw = rng.random(2)
    if draw[0] < as_victim:
        device = int(own_device(population, np.array([card], np.int32), day, rng)[0])
    if draw[1] < as_victim:
        ip = int(population.cards.carrier_ip[card])
    return device, ip
