"""Opening hours of merchants, in their local time."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fraudsim.arrays import Flags, Int32s, Ints
from producers.calendar.public_holidays import is_public_holiday
from producers.calendar.rhythm import MINUTE_MS, weekday
from producers.reference import CATEGORIES
from producers.rng import generator

DAY_MINUTES: Final = 1440


@dataclass(frozen=True)
class CategoryHours:
    """Typical opening hours of a category; a merchant's own deviate, in steps of half an hour."""

    opens: float
    """Hour of the day, Monday to Saturday; a merchant's own is up to `spread` earlier or later."""
    closes: float
    """Above 24 it is the next morning; a merchant's own is up to `spread` earlier or later."""
    spread: float
    sunday_opens: float
    """Also on public holidays."""
    sunday_closes: float
    sunday_closed: float
    """Share of merchants that do not open on Sundays and public holidays."""
    never_closed: float
    """Share of merchants that are always open."""


CATEGORY_HOURS: Final = {
    # Other categories are always open: machines, fuel, hotels, taxis, trains, the web and mandates.
    "grocery": CategoryHours(7, 21, 1, 9, 18, 0.25, 0.05),
    "restaurant": CategoryHours(10.5, 23.5, 1.5, 11, 22, 0.15, 0.0),
    "fast_food": CategoryHours(9.5, 24, 2, 10.5, 23, 0.05, 0.10),
    "pharmacy": CategoryHours(8.5, 19, 1, 10, 16, 0.60, 0.05),
    "clothing": CategoryHours(10, 20, 1, 12, 18, 0.40, 0.0),
    "electronics": CategoryHours(10, 20, 1, 12, 18, 0.40, 0.0),
    "department": CategoryHours(9.5, 21, 1, 12, 18, 0.30, 0.0),
    "home": CategoryHours(9, 20, 1, 10, 17, 0.35, 0.0),
}


@dataclass(frozen=True, eq=False)
class OpeningHours:
    """Arrays (2, merchants), minutes of the day: row 0 Monday to Saturday, row 1 Sundays and holidays."""

    opens: NDArray[np.int16]
    closes: NDArray[np.int16]
    """Above `DAY_MINUTES` it is the next morning; equal to `opens` if closed all day."""

    @cached_property
    def always_open(self) -> Flags:
        """Merchants that never close."""
        result: Flags = (self.closes - self.opens).min(axis=0) >= DAY_MINUTES
        return result

    @cached_property
    def opens_on_sundays(self) -> Flags:
        """Merchants that open on Sundays and public holidays too."""
        return self.closes[1] > self.opens[1]


def draw_opening_hours(seed: int, category: Ints, city: Ints, size: NDArray[np.floating]) -> OpeningHours:
    """Opening hours of merchants by their category; `city` is -1 for web merchants.

    If no merchant of a city is always open, its largest by `size` becomes so: every city has an open shop.
    """
    rng = generator(seed, "opening hours")
    count = len(category)
    opens = np.zeros((2, count))
    closes = np.full((2, count), 24.0)
    opens_shift, closes_shift = rng.uniform(-1, 1, size=(2, count))
    draw, sunday_draw = rng.random((2, count))
    for index, kind in enumerate(CATEGORIES):
        typical = CATEGORY_HOURS.get(kind.name)
        if typical is None:
            continue
        rows = np.flatnonzero((category == index) & (draw >= typical.never_closed))
        first = np.array([[typical.opens], [typical.sunday_opens]]) + typical.spread * opens_shift[rows]
        last = np.array([[typical.closes], [typical.sunday_closes]]) + typical.spread * closes_shift[rows]
        last[1] = np.where(sunday_draw[rows] < typical.sunday_closed, first[1], last[1])
        opens[:, rows], closes[:, rows] = first, last
    open_minute, close_minute = (
        np.rint(hours * 2).astype(np.int16) * np.int16(30) for hours in (opens, closes)
    )
    always_open = OpeningHours(open_minute, close_minute).always_open
    for city_index in np.setdiff1d(city, city[always_open]):
        city_rows = np.flatnonzero(city == city_index)
        largest = city_rows[np.argmax(size[city_rows])]
        open_minute[:, largest], close_minute[:, largest] = 0, DAY_MINUTES
    return OpeningHours(open_minute, close_minute)


def is_rest_day(day: int) -> bool:
    """Whether a day (counted from 1970-01-01) is a Sunday or a public holiday."""
    return weekday(day) == 6 or is_public_holiday(day)


def are_open(hours: OpeningHours, zone: NDArray[np.int8], merchant: Int32s, ts: Ints) -> Flags:
    """Whether each merchant is open at its time (ms UTC).

    `hours` and `zone` (hours east of Greenwich) have one entry per merchant of the population.
    """
    result = np.ones(len(ts), np.bool_)
    rows = np.flatnonzero(~hours.always_open[merchant])
    if not len(rows):
        return result
    closing = merchant[rows]
    # Floor divisions of one number are far faster in numpy than `divmod`.
    clock = ts[rows] // MINUTE_MS + zone[closing].astype(np.int64) * 60
    day = clock // DAY_MINUTES
    minute = clock - day * DAY_MINUTES
    first = int(day.min()) - 1
    rest = np.array([is_rest_day(d) for d in range(first, int(day.max()) + 1)], np.intp)
    today, yesterday = rest[day - first], rest[day - first - 1]
    result[rows] = (hours.opens[today, closing] <= minute) & (minute < hours.closes[today, closing])
    result[rows] |= minute + DAY_MINUTES < hours.closes[yesterday, closing]
    return result
