"""Payments at closed shops: moved to another hour, or to another shop.

Honest and fraudulent payments in shops both pass through here; otherwise a payment at a closed shop would
reveal fraud.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from fraudsim.arrays import Int32s, Ints
from producers.calendar.opening_hours import are_open, is_rest_day
from producers.calendar.rhythm import is_free_day, times_between, to_utc
from producers.population.columns import DAY_MS
from producers.population.population import Population

_MAX_REDRAWS: Final = 2
"""Draws of a shop in town before one that never closes is taken."""


def closed_rows(population: Population, ts: Ints, merchant: Int32s) -> NDArray[np.intp]:
    """Indices of payments (ms UTC) whose merchant is closed."""
    merchants = population.merchants
    return np.flatnonzero(~are_open(merchants.hours, merchants.zone, merchant, ts))


def replace_closed_merchants(
    population: Population, ts: Ints, merchant: Int32s, rng: np.random.Generator
) -> Int32s:
    """The merchants, each closed one replaced by a shop of the same city that is open (`ts` in ms UTC)."""
    open_merchant = merchant.copy()
    city = population.merchants.city[merchant].astype(np.int64)
    closed = closed_rows(population, ts, merchant)
    for _ in range(_MAX_REDRAWS):
        open_merchant[closed] = population.shops_by_city.pick(city[closed], rng.random(len(closed)))
        closed = closed[closed_rows(population, ts[closed], open_merchant[closed])]
    open_merchant[closed] = population.always_open_by_city.pick(city[closed], rng.random(len(closed)))
    return open_merchant


def redraw_times(
    population: Population,
    ts: Ints,
    card: Int32s,
    zone: NDArray[np.int8],
    merchant: Int32s,
    rng: np.random.Generator,
) -> Ints:
    """Times (ms UTC) on the same UTC date, drawn anew from each card's rhythm within its merchant's hours.

    `zone` is the zone of the card's location, hours east of Greenwich. The draw follows the rhythm's own
    distribution between opening and closing, so that payments do not pile up at opening time. A merchant
    closed all day keeps its time; if the merchant's local date changes between its hours, the new time may
    still be a closed one.
    """
    merchants, hours = population.merchants, population.merchants.hours
    date = ts // DAY_MS
    first = int(date.min()) if len(date) else 0
    dates = range(first, int(date.max()) + 1 if len(date) else 0)
    rest = np.array([is_rest_day(day) for day in dates], np.intp)[date - first]
    free = np.array([is_free_day(day) for day in dates], np.intp)[date - first]
    opens = hours.opens[rest, merchant].astype(np.int64)
    length = hours.closes[rest, merchant] - opens
    # The merchant's hours on the card's clock, if their zones differ.
    offset_minutes = (zone.astype(np.int64) - merchants.zone[merchant]) * 60
    first_minute = (opens + offset_minutes) % 1440
    local = times_between(free, population.cards.rhythm[card], first_minute, length, rng)
    return np.where(length > 0, date * DAY_MS + to_utc(local, zone), ts)


def move_into_opening_hours(
    population: Population,
    ts: Ints,
    card: Int32s,
    zone: NDArray[np.int8],
    merchant: Int32s,
    rng: np.random.Generator,
) -> tuple[Ints, Int32s]:
    """Times (ms UTC) and merchants of visits; closed ones get another hour, or failing that another shop.

    `zone` is the zone of each card's location, hours east of Greenwich.
    """
    closed = closed_rows(population, ts, merchant)
    ts, merchant = ts.copy(), merchant.copy()
    ts[closed] = redraw_times(population, ts[closed], card[closed], zone[closed], merchant[closed], rng)
    merchant[closed] = replace_closed_merchants(population, ts[closed], merchant[closed], rng)
    return ts, merchant
