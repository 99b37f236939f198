"""Public holidays shared by most countries of the world, as days counted from 1970-01-01."""

from datetime import date
from functools import lru_cache
from typing import Final

_EPOCH: Final = date(1970, 1, 1).toordinal()
_FIXED: Final = ((1, 1), (5, 1), (12, 25), (12, 26))
"""Month and day of the month."""
_FROM_EASTER: Final = (-2, 1)
"""Days after Easter Sunday: Good Friday and Easter Monday."""


def date_of(day: int) -> date:
    """The date of a day counted from 1970-01-01."""
    return date.fromordinal(_EPOCH + day)


def day_of(moment: date) -> int:
    """Days from 1970-01-01 to a date."""
    return moment.toordinal() - _EPOCH


def easter_sunday(year: int) -> date:
    """Easter Sunday of the Gregorian calendar (Meeus, *Astronomical Algorithms*, 1991, chapter 8)."""
    golden = year % 19
    century, rest = divmod(year, 100)
    leap, skipped = divmod(century, 4)
    moon = (century - (century + 8) // 25 + 1) // 3
    epact = (19 * golden + century - leap - moon + 15) % 30
    sunday = (32 + 2 * skipped + 2 * (rest // 4) - epact - rest % 4) % 7
    late = (golden + 11 * epact + 22 * sunday) // 451
    month, day = divmod(epact + sunday - 7 * late + 114, 31)
    return date(year, month, day + 1)


@lru_cache(maxsize=16)
def public_holidays(year: int) -> frozenset[int]:
    """Days since 1970-01-01 of a year's public holidays."""
    easter = day_of(easter_sunday(year))
    fixed = {day_of(date(year, month, day)) for month, day in _FIXED}
    return frozenset(fixed | {easter + after for after in _FROM_EASTER})


def is_public_holiday(day: int) -> bool:
    return day in public_holidays(date_of(day).year)
