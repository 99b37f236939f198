"""Rhythms of payments over the day and the week, in local time, and local time in UTC."""

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fraudsim.arrays import Doubles, Ints
from producers.calendar.public_holidays import is_public_holiday

RHYTHMS: Final = (
    # Office, home by day, evening, night shift: (hour of a peak, width in hours, weight), …
    ((8.3, 0.8, 1.0), (12.7, 1.0, 1.6), (18.3, 1.8, 2.6), (13.0, 5.0, 0.8)),
    ((10.5, 1.8, 2.2), (15.5, 2.2, 2.0), (13.0, 5.0, 1.0)),
    ((13.0, 2.0, 1.0), (20.5, 2.2, 2.8), (16.0, 5.0, 0.8)),
    ((3.0, 2.5, 1.5), (17.5, 2.5, 2.0), (22.5, 1.5, 1.2), (13.0, 6.0, 0.6)),
)
FREE_DAY_PEAKS: Final = ((12.0, 2.4, 2.0), (16.5, 2.6, 2.0), (20.5, 2.2, 1.2))
WEEKDAY_FACTORS: Final = (0.93, 0.92, 0.95, 1.0, 1.16, 1.22, 0.82)
"""Everyday transactions by weekday, Monday first, relative to the mean."""
RESOLUTION: Final = 4096
MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS


def weekday(day: int) -> int:
    """0 is Monday; `day` counts from 1970-01-01, a Thursday."""
    return (day + 3) % 7


def is_free_day(day: int) -> bool:
    """Whether a day (counted from 1970-01-01) is a Saturday, a Sunday or a public holiday."""
    return weekday(day) >= 5 or is_public_holiday(day)


@lru_cache(maxsize=1)
def cumulative_shares() -> Doubles:
    """(2, rhythms, 1441): share of a day's payments before a minute, by [is free day, rhythm, minute]."""
    minutes = np.arange(1440) + 0.5
    tables = []
    for is_free in (False, True):
        for peaks in RHYTHMS:
            day_peaks = (
                (*FREE_DAY_PEAKS, *((h, w, weight * 0.4) for h, w, weight in peaks)) if is_free else peaks
            )
            density = np.full(1440, 0.012)
            for hour, width, weight in day_peaks:
                distance = np.abs(minutes / 60 - hour)
                distance = np.minimum(distance, 24 - distance)
                density += weight / width * np.exp(-0.5 * (distance / width) ** 2)
            cumulative = np.concatenate([[0.0], np.cumsum(density)])
            tables.append(cumulative / cumulative[-1])
    return np.array(tables).reshape(2, len(RHYTHMS), 1441)


@lru_cache(maxsize=1)
def minute_quantiles() -> Doubles:
    """(2, rhythms, RESOLUTION): minute of the day, by [is free day, rhythm, draw]."""
    draws = (np.arange(RESOLUTION) + 0.5) / RESOLUTION
    tables = [np.interp(draws, row, np.arange(1441)) for row in cumulative_shares().reshape(-1, 1441)]
    return np.array(tables).reshape(2, len(RHYTHMS), RESOLUTION)


def times_of_day(day: int, rhythm: NDArray[np.int8], rng: np.random.Generator) -> Ints:
    """A time for each rhythm, ms since local midnight."""
    table = minute_quantiles()[int(is_free_day(day))]
    draw = rng.integers(0, RESOLUTION, size=len(rhythm))
    minute = np.minimum(table[rhythm, draw] + rng.random(len(rhythm)), 1439.999)
    return (minute * MINUTE_MS).astype(np.int64)


def time_of_day(day: int, rhythm: int, rng: np.random.Generator) -> int:
    """The same as `times_of_day` for one rhythm, in a tenth of the run time."""
    position = rng.integers(0, RESOLUTION)
    minute = min(minute_quantiles()[int(is_free_day(day)), rhythm, position] + rng.random(), 1439.999)
    return int(minute * MINUTE_MS)


def times_between(
    free: NDArray[np.intp],
    rhythm: NDArray[np.int8],
    first: Ints,
    length: Ints,
    rng: np.random.Generator,
) -> Ints:
    """Times within `length` minutes (at most a day) from minute `first` on, ms since local midnight.

    Drawn as by `times_of_day`, conditional on that interval; `free` is 1 where the day is a free one, else 0.
    """
    share, table = cumulative_shares(), minute_quantiles()
    last = first + length
    low = share[free, rhythm, first]
    high = share[free, rhythm, last % 1440] + last // 1440
    position = (low + rng.random(len(first)) * (high - low)) % 1.0 * RESOLUTION - 0.5
    below = np.clip(position.astype(np.int64), 0, RESOLUTION - 2)
    minute = table[free, rhythm, below]
    minute += (position - below) * (table[free, rhythm, below + 1] - minute)
    return (np.clip(minute, 0, 1439.999) * MINUTE_MS).astype(np.int64)


def zone_of(lon: Doubles) -> NDArray[np.int8]:
    """Solar time zone, hours east of Greenwich, from degrees: no borders, no summer time."""
    return np.rint(lon / 15).astype(np.int8)


def to_utc(local_ms: Ints, zone: NDArray[np.int8]) -> Ints:
    """Milliseconds since midnight UTC from local ones and zones (hours east of Greenwich).

    Times wrap around midnight and stay on their date, so that a day can be made alone.
    """
    return (local_ms - zone.astype(np.int64) * HOUR_MS) % DAY_MS
