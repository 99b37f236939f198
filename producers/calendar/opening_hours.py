"""Opening hours: when each merchant is open, by its own clock."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from producers.calendar.public_holidays import is_public_holiday
from producers.calendar.rhythm import MINUTE_MS, weekday
from producers.reference import CATEGORIES
from producers.rng import generator

DAY_MINUTES: Final = 1440


@dataclass(frozen=True)
class CategoryHours:
    """Opening hours of a category; every merchant's own lie about them, in steps of half an hour."""

    opens: float
    """Hour of the day, Monday to Saturday; up to `spread` earlier or later."""
    closes: float
    """Above 24 it is the next morning; up to `spread` earlier or later."""
    spread: float
    sunday_opens: float
    """Also on public holidays."""
    sunday_closes: float
    sunday_closed: float
    """Share of merchants that do not open on Sundays and public holidays."""
    never_closed: float
    """Share of merchants that are always open."""


CATEGORY_HOURS: Final = {
    # Whatever is not here is always open: machines, fuel, hotels, taxis, trains, the web and mandates.
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
    """Arrays (2, merchants): Monday to Saturday, then Sundays and public holidays; minutes of the day."""

    opens: NDArray[np.int16]
    closes: NDArray[np.int16]
    """Above `DAY_MINUTES` it is the next morning; the same as `opens` where closed all day."""

    @cached_property
    def always_open(self) -> NDArray[np.bool_]:
        """Merchants that never close."""
        found: NDArray[np.bool_] = (self.closes - self.opens).min(axis=0) >= DAY_MINUTES
        return found

    @cached_property
    def opens_on_sundays(self) -> NDArray[np.bool_]:
        """Merchants that open on Sundays and public holidays too."""
        return self.closes[1] > self.opens[1]


def draw_opening_hours(
    seed: int, category: NDArray[np.int64], city: NDArray[np.int64], size: NDArray[np.floating]
) -> OpeningHours:
    """Hours of merchants by their category; `city` is -1 on the web.

    Where no merchant of a city is always open, the one of the greatest `size` is, so that one can always pay.
    """
    rng = generator(seed, "opening hours")
    count = len(category)
    opens = np.zeros((2, count))
    closes = np.full((2, count), 24.0)
    early, late = rng.uniform(-1, 1, size=(2, count))
    draw, sunday_draw = rng.random((2, count))
    for index, kind in enumerate(CATEGORIES):
        trade = CATEGORY_HOURS.get(kind.name)
        if trade is None:
            continue
        mine = np.flatnonzero((category == index) & (draw >= trade.never_closed))
        begin = np.array([[trade.opens], [trade.sunday_opens]]) + trade.spread * early[mine]
        end = np.array([[trade.closes], [trade.sunday_closes]]) + trade.spread * late[mine]
        end[1] = np.where(sunday_draw[mine] < trade.sunday_closed, begin[1], end[1])
        opens[:, mine], closes[:, mine] = begin, end
    begins, ends = (np.rint(clock * 2).astype(np.int16) * np.int16(30) for clock in (opens, closes))
    always_open = OpeningHours(begins, ends).always_open
    for place in np.setdiff1d(city, city[always_open]):
        there = np.flatnonzero(city == place)
        largest = there[np.argmax(size[there])]
        begins[:, largest], ends[:, largest] = 0, DAY_MINUTES
    return OpeningHours(begins, ends)


def is_rest_day(day: int) -> bool:
    """Sundays and public holidays; `day` counts from 1970-01-01."""
    return weekday(day) == 6 or is_public_holiday(day)


def are_open(
    hours: OpeningHours, zone: NDArray[np.int8], merchant: NDArray[np.int32], ts: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether some merchants are open, each at a time (ms UTC).

    `zone` and `hours` are those of all merchants, the zone in hours east of Greenwich.
    """
    result = np.ones(len(ts), np.bool_)
    rows = np.flatnonzero(~hours.always_open[merchant])
    if not len(rows):
        return result
    which = merchant[rows]
    # By floor divisions of one number, which numpy does far faster than `divmod`.
    clock = ts[rows] // MINUTE_MS + zone[which].astype(np.int64) * 60
    day = clock // DAY_MINUTES
    minute = clock - day * DAY_MINUTES
    first = int(day.min()) - 1
    rest = np.array([is_rest_day(d) for d in range(first, int(day.max()) + 1)], np.intp)
    today, yesterday = rest[day - first], rest[day - first - 1]
    result[rows] = (hours.opens[today, which] <= minute) & (minute < hours.closes[today, which])
    result[rows] |= minute + DAY_MINUTES < hours.closes[yesterday, which]
    return result
