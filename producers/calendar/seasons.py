"""Seasons: a factor on the visits of each category, by day of the year.

The factors of a category have the mean 1 over a year: seasons move visits and add none.
"""

from datetime import date, timedelta
from functools import lru_cache
from typing import Final

import numpy as np

from fraudsim.arrays import Doubles
from producers.calendar.public_holidays import date_of, day_of, public_holidays
from producers.reference import CATEGORIES

MONTHLY_FACTORS: Final = {
    # In the middle of each month, January first, relative to the mean; linear between two middles.
    "gifts": (0.86, 0.84, 0.92, 0.94, 0.97, 0.97, 0.95, 0.93, 0.97, 1.02, 1.18, 1.45),
    "travel": (1.02, 0.95, 0.98, 1.00, 1.08, 1.15, 1.25, 1.20, 0.97, 0.87, 0.76, 0.80),
    "home": (0.85, 0.87, 1.02, 1.15, 1.20, 1.10, 1.02, 0.98, 0.98, 0.98, 0.95, 0.90),
    "charity": (0.86, 0.87, 0.95, 0.95, 0.95, 0.92, 0.87, 0.87, 0.95, 1.03, 1.18, 1.60),
    "eating out": (0.92, 0.95, 0.98, 1.00, 1.04, 1.06, 1.06, 1.03, 1.00, 0.98, 0.96, 1.02),
    "food": (0.97, 0.97, 0.98, 0.99, 1.00, 1.00, 1.00, 0.99, 1.00, 1.00, 1.01, 1.09),
    "moving": (0.95, 0.96, 0.99, 1.00, 1.03, 1.03, 1.00, 0.98, 1.03, 1.03, 1.01, 0.99),
    "even": (1.0,) * 12,
}
CATEGORY_SEASON: Final = {
    "grocery": "food",
    "fuel": "moving",
    "restaurant": "eating out",
    "fast_food": "eating out",
    "transit": "moving",
    "vending": "moving",
    "pharmacy": "food",
    "clothing": "gifts",
    "electronics": "gifts",
    "department": "gifts",
    "home": "home",
    "hotel": "travel",
    "taxi": "moving",
    "cash": "even",
    "marketplace": "gifts",
    "digital_goods": "even",
    "games": "even",
    "fashion": "gifts",
    "food_delivery": "even",
    "web_electronics": "gifts",
    "travel": "travel",
    "gift_cards": "gifts",
    "charity": "charity",
    "streaming": "even",
    "telecom": "even",
    "utilities": "even",
}
"""Each category's row of `MONTHLY_FACTORS`."""
SALES_FACTOR: Final = 1.5
"""On gifts, from the Friday after the fourth Thursday of November to the Monday after it."""
CHRISTMAS_FACTOR: Final = 1.2
"""On gifts, from 10 to 23 December."""
HOLIDAY_FACTORS: Final = {
    # On a public holiday; web categories are absent and unchanged.
    "grocery": 0.45,
    "fuel": 0.8,
    "restaurant": 1.25,
    "transit": 0.6,
    "vending": 0.6,
    "pharmacy": 0.4,
    "clothing": 0.35,
    "electronics": 0.35,
    "department": 0.35,
    "home": 0.3,
    "hotel": 1.2,
    "cash": 0.8,
}


def category_factors(day: int) -> Doubles:
    """(categories,): visits on a day (counted from 1970-01-01), relative to the year's mean."""
    today = date_of(day)
    factors: Doubles = year_factors(today.year)[today.timetuple().tm_yday - 1]
    return factors


@lru_cache(maxsize=64)
def seasonal_level(day: int) -> float:
    """All everyday visits on a day (counted from 1970-01-01), relative to the year's mean."""
    return float(np.average(category_factors(day), weights=[category.weight for category in CATEGORIES]))


@lru_cache(maxsize=8)
def year_factors(year: int) -> Doubles:
    """(days of the year, categories): each column has the mean 1."""
    first = day_of(date(year, 1, 1))
    days = np.arange(first, day_of(date(year + 1, 1, 1)))
    # The middles of the twelve months, and of one month more on either side.
    middles = [day_of(date(year + (month - 1) // 12, (month - 1) % 12 + 1, 15)) for month in range(0, 14)]
    factors = np.empty((len(days), len(CATEGORIES)))
    for index, category in enumerate(CATEGORIES):
        months = MONTHLY_FACTORS[CATEGORY_SEASON[category.name]]
        factors[:, index] = np.interp(days, middles, [months[-1], *months, months[0]])
    gifts = [index for index, category in enumerate(CATEGORIES) if CATEGORY_SEASON[category.name] == "gifts"]
    friday = _sales_friday(year) - first
    factors[friday : friday + 4, gifts] *= SALES_FACTOR
    december = day_of(date(year, 12, 1)) - first
    factors[december + 9 : december + 23, gifts] *= CHRISTMAS_FACTOR
    holidays = np.array(sorted(public_holidays(year))) - first
    factors[holidays] *= [HOLIDAY_FACTORS.get(category.name, 1.0) for category in CATEGORIES]
    result: Doubles = factors / factors.mean(axis=0)
    return result


def _sales_friday(year: int) -> int:
    """The Friday after the fourth Thursday of November."""
    first = date(year, 11, 1)
    thursday = first + timedelta(days=(3 - first.weekday()) % 7 + 21)
    return day_of(thursday) + 1
