"""Pay days: every card gets its wage on one day of the month, and spends more in the days after it."""

from calendar import monthrange
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from producers.calendar.public_holidays import date_of

PAY_DAYS: Final = {1: 0.20, 15: 0.10, 25: 0.25, 28: 0.15, 31: 0.30}
"""Day of the month and share of cards; 31 is the last day of the month, whichever it is."""
PAY_DAY_LIFT: Final = 0.35
"""Of the visits on pay day, over those of a card that has spent its wage."""
PAY_DAY_LIFT_DAYS: Final = 5.0
"""In which the lift falls to 1/e."""


@lru_cache(maxsize=64)
def pay_day_factors(day: int) -> NDArray[np.float64]:
    """(32,): visits on a day counted from 1970-01-01, by the day of the month a card is paid on.

    The mean over the days from one pay day to the next is 1.
    """
    today = date_of(day)
    factors = np.ones(32)
    for pay_day in PAY_DAYS:
        length = monthrange(today.year, today.month)[1]
        since = today.day - min(pay_day, length)
        if since < 0:
            before = date_of(day - today.day)
            since = today.day + before.day - min(pay_day, before.day)
            cycle = before.day - min(pay_day, before.day) + min(pay_day, length)
        else:
            after = monthrange(today.year + today.month // 12, today.month % 12 + 1)[1]
            cycle = length - min(pay_day, length) + min(pay_day, after)
        factors[pay_day] = _profile(cycle)[since]
    return factors


@lru_cache(maxsize=8)
def _profile(days: int) -> NDArray[np.float64]:
    """By days since pay day, over a month of so many days."""
    raised = 1 + PAY_DAY_LIFT * np.exp(-np.arange(days) / PAY_DAY_LIFT_DAYS)
    profile: NDArray[np.float64] = raised / raised.mean()
    return profile
