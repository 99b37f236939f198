"""The honest transactions of a day, vectorised, from (population, seed, day) alone.

Most are everyday visits. The rest is there because fraud resembles it: trips abroad, shopping sprees from a
new device, bursts of small payments at machines and in games.
"""

from copy import deepcopy
from dataclasses import fields
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudsim.arrays import Doubles, Int32s, Ints
from producers.calendar.pay_days import pay_day_factors
from producers.calendar.rhythm import MINUTE_MS, WEEKDAY_FACTORS, times_of_day, to_utc, weekday, zone_of
from producers.calendar.seasons import category_factors
from producers.population.amounts import usual_amounts
from producers.population.cards import COMMUTER, DRAWS, SLOT_CATEGORY, slots_of_draws
from producers.population.closed_shops import move_into_opening_hours, replace_closed_merchants
from producers.population.columns import ATM, DAY_MS, ECOMMERCE, MOTO, POS, RECURRING, Columns, concatenate
from producers.population.devices import fresh_devices, own_address, own_device
from producers.population.population import Population
from producers.reference import CATEGORIES, CATEGORY_INDEX, CITIES
from producers.rng import generator

NEARBY_SHARE: Final = 0.14
"""Everyday visits to any shop in town instead of the repertoire."""
WEB_SHARE: Final = 0.07
"""Everyday visits to any web shop instead of the repertoire."""
NO_DEVICE_SHARE: Final = 0.25
"""Web purchases whose merchant passes no device on."""
FRESH_DEVICE_SHARE: Final = 0.05
"""Web purchases from a device not seen before: a new phone, a private window, a friend's."""
TRIPS_PER_WEEK: Final = 0.035
SPREES_PER_DAY: Final = 0.004
BURSTS_PER_DAY: Final = 0.25
"""Of a card that pays in bursts."""

_CHANNEL_OF_KIND: Final = {"shop": POS, "atm": ATM, "online": ECOMMERCE, "recurring": RECURRING}
_CHANNEL: Final = np.array([_CHANNEL_OF_KIND[category.kind] for category in CATEGORIES], np.int8)
_ZONE: Final = zone_of(np.array([city[3] for city in CITIES]))
"""Hours east of Greenwich of each city."""
_SLOT_CATEGORY: Final = np.array(SLOT_CATEGORY)


@lru_cache(maxsize=4)
def honest_transactions(population: Population, seed: int, day: int) -> Columns:
    """Every honest transaction of a day, unordered, in read-only arrays.

    `day` counts from 1970-01-01. About 1.07 times the population's everyday rate on an average day. The last
    days are cached.
    """
    visits = _visits(population, seed, day)
    rng = deepcopy(visits.rng)
    everyday = with_payment_details(population, day, visits.ts, visits.card, visits.merchant, rng)
    columns = concatenate([everyday, *visits.clusters])
    for field in fields(columns):
        getattr(columns, field.name).flags.writeable = False
    return columns


@lru_cache(maxsize=8)
def honest_visits(population: Population, seed: int, day: int) -> tuple[Int32s, Int32s]:
    """Cards and merchants of `honest_transactions`, without the cost of amounts, devices and addresses.

    The last days are cached.
    """
    visits = _visits(population, seed, day)
    return (
        np.concatenate([visits.card, *(columns.card for columns in visits.clusters)]),
        np.concatenate([visits.merchant, *(columns.merchant for columns in visits.clusters)]),
    )


def with_payment_details(
    population: Population,
    day: int,
    ts: Ints,
    card: Int32s,
    merchant: Int32s,
    rng: np.random.Generator,
) -> Columns:
    """Honest transactions from visits (`ts` in ms UTC): adds channel, usual amount, device and address."""
    channel = _CHANNEL[population.merchants.category[merchant]]
    web = np.flatnonzero(channel == ECOMMERCE)
    device = np.zeros(len(ts), np.uint64)
    ip = np.zeros(len(ts), np.uint32)
    draw = rng.random(len(web))
    with_device = web[draw >= NO_DEVICE_SHARE]
    device[with_device] = own_device(population, card[with_device], day, rng)
    fresh = web[draw > 1 - FRESH_DEVICE_SHARE]
    device[fresh] = fresh_devices(len(fresh), rng)
    ip[web] = own_address(population, card[web], rng)
    phone = np.flatnonzero((channel == POS) & population.cards.phone_wallet[card])
    device[phone] = own_device(population, card[phone], day, rng)
    by_mail = web[rng.random(len(web)) < 0.02]
    channel[by_mail] = MOTO
    device[by_mail] = 0
    ip[by_mail] = 0
    return Columns(ts, card, merchant, channel, usual_amounts(population, card, merchant, rng), device, ip)


def cities_of_cards(population: Population, seed: int, day: int) -> NDArray[np.int8]:
    """The city of each card on a day: home, or the target of a trip of two to seven days within a week."""
    home = population.cards.city
    rng = generator(seed, "trips", (day + 3) // 7)
    count = len(home)
    travels = rng.random(count) < TRIPS_PER_WEEK
    first = rng.integers(0, 6, size=count)
    length = rng.integers(2, 8, size=count)
    target = rng.integers(0, population.cities, size=count).astype(np.int8)
    today = weekday(day)
    away = travels & (first <= today) & (today < first + length)
    return np.where(away, target, home)


class _Visits(NamedTuple):
    """The visits of a day, before amounts, devices and addresses are drawn for the everyday ones."""

    ts: Ints
    card: Int32s
    merchant: Int32s
    rng: np.random.Generator
    """State after the everyday visits; to be copied, not advanced."""
    clusters: list[Columns]
    """Bursts, sprees and subscriptions, with all their columns."""


@lru_cache(maxsize=4)
def _visits(population: Population, seed: int, day: int) -> _Visits:
    clusters = [draw(population, seed, day) for draw in (_bursts, _sprees, _subscriptions)]
    return _Visits(*_everyday_visits(population, seed, day), clusters)


def _everyday_visits(
    population: Population, seed: int, day: int
) -> tuple[Ints, Int32s, Int32s, np.random.Generator]:
    """Times (ms UTC), cards and merchants of everyday visits, and the generator for their details."""
    rng = generator(seed, "habits", day)
    cards = population.cards
    season = category_factors(day)
    # Poisson visits to each slot at its category's season: first how many visits, then to which slots.
    slot_rates = population.tastes * season[_SLOT_CATEGORY]
    card_factor = slot_rates.sum(axis=1)[cards.taste] * pay_day_factors(day)[cards.pay_day]
    card_factor *= WEEKDAY_FACTORS[weekday(day)] * population.growth.factor(day)
    card = np.repeat(np.arange(len(cards), dtype=np.int32), rng.poisson(cards.per_day * card_factor))
    city = cities_of_cards(population, seed, day)[card]
    zone = _ZONE[city]
    ts = day * DAY_MS + to_utc(times_of_day(day, cards.rhythm[card], rng), zone)
    slot = slots_of_draws(slot_rates)[cards.taste[card], rng.integers(0, DRAWS, size=len(card))]
    merchant = cards.repertoire[card, slot]
    draw = rng.random(len(card))
    at_home = city == cards.city[card]
    nearby = (draw < NEARBY_SHARE) | (~at_home & ~population.merchants.online[merchant])
    nearby = np.flatnonzero(nearby & population.shops_by_city.has(city.astype(np.int64)))
    merchant_season = season[population.merchants.category]
    city_picker = population.shops_by_city.reweighted(merchant_season)
    merchant[nearby] = city_picker.pick(city[nearby].astype(np.int64), rng.random(len(nearby)))
    web = np.flatnonzero(draw > 1 - WEB_SHARE)
    web_picker = population.web_shops.reweighted(merchant_season)
    merchant[web] = web_picker.pick(np.zeros(len(web), np.int64), rng.random(len(web)))
    ts, merchant = move_into_opening_hours(population, ts, card, zone, merchant, rng)
    return ts, card, merchant, rng


def _cluster_times(
    size: Ints,
    minutes: Doubles,
    begin: Ints,
    rng: np.random.Generator,
) -> tuple[Ints, Ints]:
    """Local times (ms) of `size` payments within `minutes` of `begin` per cluster, and each one's cluster."""
    cluster = np.repeat(np.arange(len(size)), size)
    offset = (rng.random(len(cluster)) * minutes[cluster] * MINUTE_MS).astype(np.int64)
    return np.minimum(begin[cluster] + offset, DAY_MS - 1), cluster


def _bursts(population: Population, seed: int, day: int) -> Columns:
    """Many small payments of one card at machines, or in games and web shops."""
    rng = generator(seed, "bursts", day)
    cards = population.cards
    bursty = np.flatnonzero(cards.bursty)
    probability = BURSTS_PER_DAY * population.growth.factor(day)
    payer = bursty[rng.random(len(bursty)) < probability].astype(np.int32)
    # Half within an hour, half all day long: many payments a day prove nothing, many at once nearly do.
    slow = rng.random(len(payer)) < 0.5
    size = 3 + rng.poisson(np.where(slow, 5.0, 2.5))
    minutes = np.where(slow, rng.uniform(180, 840, size=len(payer)), rng.uniform(8, 50, size=len(payer)))
    begin = times_of_day(day, cards.rhythm[payer], rng)
    begin = np.where(slow, np.minimum(begin, DAY_MS // 3), begin)
    local, cluster = _cluster_times(size, minutes, begin, rng)
    ts = day * DAY_MS + to_utc(local, cards.zone[payer[cluster]])
    commuter = cards.bursty[payer] == COMMUTER
    machine = np.where(rng.random(len(payer)) < 0.5, CATEGORY_INDEX["vending"], CATEGORY_INDEX["transit"])
    games = np.array([CATEGORY_INDEX[name] for name in ("games", "digital_goods", "food_delivery")])
    web = games[rng.choice(3, size=len(payer), p=[0.6, 0.3, 0.1])]
    category = population.category_fallback[np.where(commuter, machine, web)]
    merchant = population.merchants_by_category.pick(category, rng.random(len(payer)))[cluster]
    merchant = replace_closed_merchants(population, ts, merchant, rng)
    columns = with_payment_details(population, day, ts, payer[cluster], merchant, rng)
    # Some end with an expensive payment: a hotel after the train, a console after the games.
    expensive = np.flatnonzero((rng.random(len(ts)) < 0.03) & ~commuter[cluster])
    columns.amount_cents[expensive] *= 12
    return columns


def _sprees(population: Population, seed: int, day: int) -> Columns:
    """Several larger purchases of one card within hours, half of them from a new device."""
    rng = generator(seed, "sprees", day)
    cards = population.cards
    probability = pay_day_factors(day)[cards.pay_day] * category_factors(day)[CATEGORY_INDEX["fashion"]]
    probability *= SPREES_PER_DAY * population.growth.factor(day)
    payer = np.flatnonzero(rng.random(len(cards)) < probability).astype(np.int32)
    size = 3 + rng.poisson(2.0, size=len(payer))
    begin = times_of_day(day, cards.rhythm[payer], rng)
    local, cluster = _cluster_times(size, rng.uniform(20, 150, size=len(payer)), begin, rng)
    ts = day * DAY_MS + to_utc(local, cards.zone[payer[cluster]])
    names = ("fashion", "web_electronics", "gift_cards", "marketplace", "clothing", "department", "travel")
    categories = np.array([CATEGORY_INDEX[name] for name in names])
    on_web = rng.random(len(payer)) < 0.6
    draw = rng.integers(0, 4, size=len(ts))
    category = categories[np.where(on_web[cluster], draw, 3 + draw)]
    card = payer[cluster]
    merchant = population.merchants_by_category.pick(
        population.category_fallback[category], rng.random(len(ts))
    )
    merchant = replace_closed_merchants(population, ts, merchant, rng)
    columns = with_payment_details(population, day, ts, card, merchant, rng)
    new_device = fresh_devices(len(payer), rng)[cluster]
    replaced = (rng.random(len(payer)) < 0.5)[cluster] & (columns.device != 0)
    columns.device[replaced] = new_device[replaced]
    columns.amount_cents[:] = np.minimum(columns.amount_cents * 3 // 2, 1_000_000)
    return columns


def _subscriptions(population: Population, seed: int, day: int) -> Columns:
    rng = generator(seed, "subscriptions", day)
    cards = population.cards
    month_day = int(np.datetime64(day, "D").astype(object).day)
    due = (cards.subscription >= 0) & (cards.subscription_day == month_day)
    card, subscription = np.nonzero(due)
    minute = rng.integers(90, 360, size=len(card))
    local = minute * MINUTE_MS + rng.integers(0, MINUTE_MS, size=len(card))
    ts = day * DAY_MS + to_utc(local, cards.zone[card])
    return Columns(
        ts=ts,
        card=card.astype(np.int32),
        merchant=cards.subscription[card, subscription],
        channel=np.full(len(card), RECURRING, np.int8),
        amount_cents=cards.subscription_cents[card, subscription],
        device=np.zeros(len(card), np.uint64),
        ip=np.zeros(len(card), np.uint32),
    )
