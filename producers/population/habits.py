"""A whole day of honest payments, vectorised, from (population, seed, day) alone.

Everyday visits carry most of it. The rest is there because fraud looks like it: trips abroad,
shopping sprees with a new device, bursts of small payments at machines and in games.
"""

from copy import deepcopy
from dataclasses import fields
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from producers.calendar.pay_days import pay_day_factors
from producers.calendar.rhythm import MINUTE_MS, WEEKDAY_FACTORS, times_of_day, to_utc, weekday, zone_of
from producers.calendar.seasons import category_factors
from producers.population.amounts import usual_amounts
from producers.population.cards import COMMUTER, DRAWS, SLOT_CATEGORY, slots_of_draws
from producers.population.closed_shops import move_into_opening_hours, replace_closed_merchants
from producers.population.columns import (
    ATM,
    DAY_MS,
    ECOMMERCE,
    MOTO,
    POS,
    RECURRING,
    Columns,
    concatenate,
)
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
    """Every honest transaction of a day, in no particular order; arrays that cannot be written to.

    `day` counts from 1970-01-01. About 1.07 times the population's everyday rate on an average day.
    The last days are kept: what follows from them is made after them.
    """
    made = _day_plan(population, seed, day)
    rng = deepcopy(made.rng)
    columns = concatenate(
        [with_payment_details(population, day, made.ts, made.card, made.merchant, rng), *made.others]
    )
    for field in fields(columns):
        getattr(columns, field.name).flags.writeable = False
    return columns


@lru_cache(maxsize=8)
def honest_visits(population: Population, seed: int, day: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Cards and merchants of `honest_transactions`, without the work of all that follows from them.

    The last days are kept.
    """
    made = _day_plan(population, seed, day)
    return (
        np.concatenate([made.card, *(columns.card for columns in made.others)]),
        np.concatenate([made.merchant, *(columns.merchant for columns in made.others)]),
    )


def with_payment_details(
    population: Population,
    day: int,
    ts: NDArray[np.int64],
    card: NDArray[np.int32],
    merchant: NDArray[np.int32],
    rng: np.random.Generator,
) -> Columns:
    """Honest transactions from who, where and when: channel, usual amount, device and address."""
    channel = _CHANNEL[population.merchants.category[merchant]]
    web = np.flatnonzero(channel == ECOMMERCE)
    device = np.zeros(len(ts), np.uint64)
    ip = np.zeros(len(ts), np.uint32)
    draw = rng.random(len(web))
    seen = web[draw >= NO_DEVICE_SHARE]
    device[seen] = own_device(population, card[seen], day, rng)
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
    """Where each card is on a day: home, or the place of a trip of two to seven days within a week."""
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


class _DayPlan(NamedTuple):
    """A day whose everyday visits have yet to be completed."""

    ts: NDArray[np.int64]
    card: NDArray[np.int32]
    merchant: NDArray[np.int32]
    rng: np.random.Generator
    """As it stands now: to be copied, not used."""
    others: list[Columns]


@lru_cache(maxsize=4)
def _day_plan(population: Population, seed: int, day: int) -> _DayPlan:
    others = [part(population, seed, day) for part in (_bursts, _sprees, _subscriptions)]
    return _DayPlan(*_everyday(population, seed, day), others)


def _everyday(
    population: Population, seed: int, day: int
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32], np.random.Generator]:
    """Times, cards and merchants, and the generator for what follows from them."""
    rng = generator(seed, "habits", day)
    cards = population.cards
    season = category_factors(day)
    # Poisson visits to each slot at its category's season: so many in all, divided so.
    wanted = population.tastes * season[_SLOT_CATEGORY]
    often = wanted.sum(axis=1)[cards.taste] * pay_day_factors(day)[cards.pay_day]
    often *= WEEKDAY_FACTORS[weekday(day)] * population.growth.factor(day)
    card = np.repeat(np.arange(len(cards), dtype=np.int32), rng.poisson(cards.per_day * often))
    where = cities_of_cards(population, seed, day)[card]
    zone = _ZONE[where]
    ts = day * DAY_MS + to_utc(times_of_day(day, cards.rhythm[card], rng), zone)
    slot = slots_of_draws(wanted)[cards.taste[card], rng.integers(0, DRAWS, size=len(card))]
    merchant = cards.repertoire[card, slot]
    draw = rng.random(len(card))
    at_home = where == cards.city[card]
    nearby = (draw < NEARBY_SHARE) | (~at_home & ~population.merchants.online[merchant])
    nearby = np.flatnonzero(nearby & population.shops_by_city.has(where.astype(np.int64)))
    in_season = season[population.merchants.category]
    in_town = population.shops_by_city.times(in_season)
    merchant[nearby] = in_town.pick(where[nearby].astype(np.int64), rng.random(len(nearby)))
    web = np.flatnonzero(draw > 1 - WEB_SHARE)
    on_web = population.web_shops.times(in_season)
    merchant[web] = on_web.pick(np.zeros(len(web), np.int64), rng.random(len(web)))
    ts, merchant = move_into_opening_hours(population, ts, card, zone, merchant, rng)
    return ts, card, merchant, rng


def _clusters(
    who: NDArray[np.int32],
    size: NDArray[np.int64],
    minutes: NDArray[np.float64],
    begin: NDArray[np.int64],
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Local times of clusters of `size` payments within `minutes` of `begin`, and the cluster of each."""
    cluster = np.repeat(np.arange(len(who)), size)
    offset = (rng.random(len(cluster)) * minutes[cluster] * MINUTE_MS).astype(np.int64)
    return np.minimum(begin[cluster] + offset, DAY_MS - 1), cluster


def _bursts(population: Population, seed: int, day: int) -> Columns:
    rng = generator(seed, "bursts", day)
    cards = population.cards
    bursty = np.flatnonzero(cards.bursty)
    chance = BURSTS_PER_DAY * population.growth.factor(day)
    who = bursty[rng.random(len(bursty)) < chance].astype(np.int32)
    # Half within an hour, half all day long: so many a day is no proof, so many at once nearly is.
    slow = rng.random(len(who)) < 0.5
    size = 3 + rng.poisson(np.where(slow, 5.0, 2.5))
    minutes = np.where(slow, rng.uniform(180, 840, size=len(who)), rng.uniform(8, 50, size=len(who)))
    begin = times_of_day(day, cards.rhythm[who], rng)
    begin = np.where(slow, np.minimum(begin, DAY_MS // 3), begin)
    local, cluster = _clusters(who, size, minutes, begin, rng)
    ts = day * DAY_MS + to_utc(local, cards.zone[who[cluster]])
    commuter = cards.bursty[who] == COMMUTER
    machine = np.where(rng.random(len(who)) < 0.5, CATEGORY_INDEX["vending"], CATEGORY_INDEX["transit"])
    games = np.array(
        [CATEGORY_INDEX["games"], CATEGORY_INDEX["digital_goods"], CATEGORY_INDEX["food_delivery"]]
    )
    web = games[rng.choice(3, size=len(who), p=[0.6, 0.3, 0.1])]
    category = population.category_fallback[np.where(commuter, machine, web)]
    merchant = population.merchants_by_category.pick(category, rng.random(len(who)))[cluster]
    merchant = replace_closed_merchants(population, ts, merchant, rng)
    day_columns = with_payment_details(population, day, ts, who[cluster], merchant, rng)
    # Some end with something dear: a hotel after the train, a console after the games.
    dear = np.flatnonzero((rng.random(len(ts)) < 0.03) & ~commuter[cluster])
    day_columns.amount_cents[dear] *= 12
    return day_columns


def _sprees(population: Population, seed: int, day: int) -> Columns:
    rng = generator(seed, "sprees", day)
    cards = population.cards
    chance = pay_day_factors(day)[cards.pay_day] * category_factors(day)[CATEGORY_INDEX["fashion"]]
    chance *= SPREES_PER_DAY * population.growth.factor(day)
    who = np.flatnonzero(rng.random(len(cards)) < chance).astype(np.int32)
    size = 3 + rng.poisson(2.0, size=len(who))
    begin = times_of_day(day, cards.rhythm[who], rng)
    local, cluster = _clusters(who, size, rng.uniform(20, 150, size=len(who)), begin, rng)
    ts = day * DAY_MS + to_utc(local, cards.zone[who[cluster]])
    names = ("fashion", "web_electronics", "gift_cards", "marketplace", "clothing", "department", "travel")
    wanted = np.array([CATEGORY_INDEX[name] for name in names])
    on_web = rng.random(len(who)) < 0.6
    draw = rng.integers(0, 4, size=len(ts))
    category = wanted[np.where(on_web[cluster], draw, 3 + draw)]
    card = who[cluster]
    merchant = population.merchants_by_category.pick(
        population.category_fallback[category], rng.random(len(ts))
    )
    merchant = replace_closed_merchants(population, ts, merchant, rng)
    columns = with_payment_details(population, day, ts, card, merchant, rng)
    new_device = fresh_devices(len(who), rng)[cluster]
    replaced = (rng.random(len(who)) < 0.5)[cluster] & (columns.device != 0)
    columns.device[replaced] = new_device[replaced]
    columns.amount_cents[:] = np.minimum(columns.amount_cents * 3 // 2, 1_000_000)
    return columns


def _subscriptions(population: Population, seed: int, day: int) -> Columns:
    rng = generator(seed, "subscriptions", day)
    cards = population.cards
    month_day = int(np.datetime64(day, "D").astype(object).day)
    due = (cards.subscription >= 0) & (cards.subscription_day == month_day)
    card, which = np.nonzero(due)
    minute = rng.integers(90, 360, size=len(card))
    local = minute * MINUTE_MS + rng.integers(0, MINUTE_MS, size=len(card))
    ts = day * DAY_MS + to_utc(local, cards.zone[card])
    merchant = cards.subscription[card, which]
    return Columns(
        ts=ts,
        card=card.astype(np.int32),
        merchant=merchant,
        channel=np.full(len(card), RECURRING, np.int8),
        amount_cents=cards.subscription_cents[card, which],
        device=np.zeros(len(card), np.uint64),
        ip=np.zeros(len(card), np.uint32),
    )
