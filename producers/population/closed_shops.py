"""What becomes of a payment at a shop that is closed: another hour, or another shop.

Everybody who pays in shops asks here, honest or not; otherwise a payment at a closed shop would mark fraud.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from producers.calendar.opening_hours import are_open, is_rest_day
from producers.calendar.rhythm import is_free_day, times_between, to_utc
from producers.population.columns import DAY_MS
from producers.population.population import Population

_TRIES: Final = 2
"""Shops in town that are tried before one that never closes is taken."""


def closed_rows(
    population: Population, ts: NDArray[np.int64], merchant: NDArray[np.int32]
) -> NDArray[np.intp]:
    """Which of some payments (ms UTC) find their merchant closed."""
    merchants = population.merchants
    return np.flatnonzero(~are_open(merchants.hours, merchants.zone, merchant, ts))


def replace_closed_merchants(
    population: Population, ts: NDArray[np.int64], merchant: NDArray[np.int32], rng: np.random.Generator
) -> NDArray[np.int32]:
    """The merchants, and where one is closed at its time a shop in the same town that is open."""
    chosen = merchant.copy()
    city = population.merchants.city[merchant].astype(np.int64)
    closed = closed_rows(population, ts, merchant)
    for _ in range(_TRIES):
        chosen[closed] = population.shops_by_city.pick(city[closed], rng.random(len(closed)))
        closed = closed[closed_rows(population, ts[closed], chosen[closed])]
    chosen[closed] = population.always_open_by_city.pick(city[closed], rng.random(len(closed)))
    return chosen


def redraw_times(
    population: Population,
    ts: NDArray[np.int64],
    card: NDArray[np.int32],
    zone: NDArray[np.int8],
    merchant: NDArray[np.int32],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Times (ms UTC) on the same UTC date, drawn anew from each card's rhythm within its merchant's hours.

    `zone` is where the card is, hours east of Greenwich. Drawn from the rhythm's own distribution between
    opening and closing, so that nobody queues at the door. A merchant closed all day leaves its time as it
    is; where the date changes at the merchant's between its hours, the time may still be a closed one.
    """
    merchants, hours = population.merchants, population.merchants.hours
    date = ts // DAY_MS
    first = int(date.min()) if len(date) else 0
    dates = range(first, int(date.max()) + 1 if len(date) else 0)
    rest = np.array([is_rest_day(day) for day in dates], np.intp)[date - first]
    free = np.array([is_free_day(day) for day in dates], np.intp)[date - first]
    opens = hours.opens[rest, merchant].astype(np.int64)
    length = hours.closes[rest, merchant] - opens
    # The shop's hours on the clock of the card, should the two differ.
    ahead = (zone.astype(np.int64) - merchants.zone[merchant]) * 60
    local = times_between(free, population.cards.rhythm[card], (opens + ahead) % 1440, length, rng)
    return np.where(length > 0, date * DAY_MS + to_utc(local, zone), ts)


def move_into_opening_hours(
    population: Population,
    ts: NDArray[np.int64],
    card: NDArray[np.int32],
    zone: NDArray[np.int8],
    merchant: NDArray[np.int32],
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Times (ms UTC) and merchants of visits: where closed another hour, if that does not help another shop.

    `zone` is where each card is, hours east of Greenwich.
    """
    closed = closed_rows(population, ts, merchant)
    ts, merchant = ts.copy(), merchant.copy()
    ts[closed] = redraw_times(population, ts[closed], card[closed], zone[closed], merchant[closed], rng)
    merchant[closed] = replace_closed_merchants(population, ts[closed], merchant[closed], rng)
    return ts, merchant
