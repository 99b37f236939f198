"""The merchants of a population, from one seed.

Coordinates are multiples of 1e-4 degree, so that the last bit of a platform's `exp` does not reach the data.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraudsim.arrays import Doubles, Flags
from producers.calendar.opening_hours import OpeningHours, draw_opening_hours
from producers.calendar.rhythm import zone_of
from producers.reference import CATEGORIES, CITIES, COUNTRIES
from producers.rng import generator


@dataclass(frozen=True, eq=False)
class Merchants:
    """Arrays of one entry per merchant."""

    category: NDArray[np.int8]
    """Index into `reference.CATEGORIES`."""
    mcc: NDArray[np.int16]
    city: NDArray[np.int8]
    """Index into `reference.CITIES`."""
    country: NDArray[np.int8]
    """Index into `reference.COUNTRIES`."""
    lat: Doubles
    """Degrees."""
    lon: Doubles
    online: Flags
    """Card-not-present: sells on the web or charges by mandate."""
    popularity: Doubles
    """Zipf weight, sums to 1."""
    log_price: Doubles
    """Added to the log of the category's amounts."""
    zone: NDArray[np.int8]
    """Hours east of Greenwich, by longitude."""
    hours: OpeningHours

    def __len__(self) -> int:
        return len(self.category)


def draw_merchants(seed: int, count: int, cities: int) -> Merchants:
    """`count` merchants in the first `cities` of `reference.CITIES`."""
    rng = generator(seed, "merchants")
    shares = np.array([category.merchants for category in CATEGORIES])
    category = rng.choice(len(CATEGORIES), size=count, p=shares / shares.sum())
    once = min(count, len(CATEGORIES))
    # One of each category first, so that small worlds have them all; the web's marketplaces come early.
    category[:once] = rng.permutation(len(CATEGORIES))[:once]
    sizes = np.array([city[4] for city in CITIES[:cities]])
    city = rng.choice(cities, size=count, p=sizes / sizes.sum())
    rank = rng.permutation(count) + 1.0
    popularity = rank**-1.05
    centres = np.array([city[2:4] for city in CITIES])[city]
    offsets = rng.normal(0.0, 0.06, size=(count, 2))
    kinds = np.array([c.kind for c in CATEGORIES])
    countries = np.array([COUNTRIES.index(c[1]) for c in CITIES], np.int8)
    online = np.isin(kinds, ["online", "recurring"])[category]
    lon = quantise_degrees(centres[:, 1] + offsets[:, 1])
    return Merchants(
        category=category.astype(np.int8),
        mcc=np.array([c.mcc for c in CATEGORIES], np.int16)[category],
        city=city.astype(np.int8),
        country=countries[city],
        lat=quantise_degrees(centres[:, 0] + offsets[:, 0]),
        lon=lon,
        online=online,
        popularity=popularity / popularity.sum(),
        log_price=rng.normal(0.0, 0.3, size=count),
        zone=zone_of(lon),
        hours=draw_opening_hours(seed, category, np.where(online, -1, city), popularity),
    )


def quantise_degrees(degrees: Doubles) -> Doubles:
    """Degrees rounded to 1e-4."""
    return np.rint(degrees * 1e4) / 1e4
