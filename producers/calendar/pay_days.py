"""Pay days: a card's owner is paid on one day of the month and spends more in the days after it."""

from calendar import monthrange
from functools import lru_cache
from typing import Final

import numpy as np

from fraudsim.arrays import Doubles
from producers.calendar.public_holidays import date_of

PAY_DAYS: Final = {1: 0.20, 15: 0.10, 25: 0.25, 28: 0.15, 31: 0.30}
"""Share of cards by day of the month; 31 is the last day of any month."""
PAY_DAY_LIFT: Final = 0.35
"""Additional visits on pay day, relative to the level long after it."""
PAY_DAY_LIFT_DAYS: Final = 5.0
"""Days in which the lift falls to 1/e."""


@lru_cache(maxsize=64)
def pay_day_factors(day: int) -> Doubles:
    """(32,): factor on the visits of a day (counted from 1970-01-01), by a card's pay day.

    The mean over the days from one pay day to the next is 1.
    """
    today = date_of(day)
    factors = np.ones(32)
    for pay_day in PAY_DAYS:
        length = monthrange(today.year, today.month)[1]
        days_since = today.day - min(pay_day, length)
        if days_since < 0:
            last_month = date_of(day - today.day)
            days_since = today.day + last_month.day - min(pay_day, last_month.day)
            cycle = last_month.day - min(pay_day, last_month.day) + min(pay_day, length)
        else:
            next_length = monthrange(today.year + today.month // 12, today.month % 12 + 1)[1]
            cycle = length - min(pay_day, length) + min(pay_day, next_length)
        factors[pay_day] = _profile(cycle)[days_since]
    return factors


@lru_cache(maxsize=8)
def _profile(days: int) -> Doubles:
    """(days,): factor by days since pay day, in a cycle of `days` days; its mean is 1."""
    raised = 1 + PAY_DAY_LIFT * np.exp(-np.arange(days) / PAY_DAY_LIFT_DAYS)
    profile: Doubles = raised / raised.mean()
    return profile
