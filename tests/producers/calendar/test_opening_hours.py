"""Opening hours: their clock, their weekdays, and times drawn between opening and closing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.calendar.opening_hours import CATEGORY_HOURS, OpeningHours, are_open, is_rest_day
from producers.calendar.rhythm import HOUR_MS, MINUTE_MS, RHYTHMS, times_between, times_of_day
from producers.population.columns import DAY_MS
from producers.population.population import Population, build_population
from producers.reference import CATEGORIES, CATEGORY_INDEX
from producers.rng import generator
from producers.world.config import FIRST_DAY

SUNDAY = FIRST_DAY + 6
LATE = OpeningHours(np.array([[1080], [1080]], np.int16), np.array([[1560], [1080]], np.int16))
"""From 18:00 to 02:00 the next morning, closed on Sundays."""


@pytest.fixture(scope="module")
def population() -> Population:
    return build_population(1500, 300, 7)


def at(day: int, hour: float, hours: OpeningHours = LATE, zone: int = 0) -> bool:
    ts = np.array([day * DAY_MS + round(hour * HOUR_MS)], np.int64)
    return bool(are_open(hours, np.array([zone], np.int8), np.zeros(1, np.int32), ts)[0])


def test_hours_run_on_past_midnight() -> None:
    monday = FIRST_DAY + 7
    assert not at(monday, 17.99)
    assert at(monday, 18)
    assert at(monday, 23.99)
    assert at(monday + 1, 1.99)
    assert not at(monday + 1, 2)


def test_saturday_night_ends_on_sunday_and_sunday_has_none() -> None:
    assert is_rest_day(SUNDAY)
    assert at(SUNDAY, 1)
    assert not at(SUNDAY, 20)
    assert not at(SUNDAY + 1, 1)


def test_the_clock_and_the_weekday_are_the_merchants_own() -> None:
    # Ten hours east of Greenwich: Monday 20:00 is Monday 10:00 UTC, and Sunday night is Sunday noon.
    assert at(SUNDAY + 1, 10, zone=10)
    assert not at(SUNDAY, 10, zone=10)
    assert at(SUNDAY - 1, 10, zone=10)
    # Eight hours west: Saturday 20:00 is Sunday 04:00 UTC.
    assert at(SUNDAY, 4, zone=-8)
    assert not at(SUNDAY + 1, 4, zone=-8)


def test_the_first_of_january_has_the_hours_of_a_sunday() -> None:
    assert is_rest_day(FIRST_DAY)
    assert not at(FIRST_DAY, 20)


def test_merchants_of_a_trade_differ_and_all_else_is_always_open(population: Population) -> None:
    hours, category = population.merchants.hours, population.merchants.category
    for index, kind in enumerate(CATEGORIES):
        rows = category == index
        if kind.name not in CATEGORY_HOURS:
            assert hours.always_open[rows].all()
            continue
        trade = CATEGORY_HOURS[kind.name]
        ordinary = rows & ~hours.always_open
        assert (np.abs(hours.opens[0, ordinary] / 60 - trade.opens) <= trade.spread + 0.25).all()
        assert (np.abs(hours.closes[0, ordinary] / 60 - trade.closes) <= trade.spread + 0.25).all()
        assert len(np.unique(hours.opens[0, ordinary])) > 2
    groceries = (category == CATEGORY_INDEX["grocery"]) & ~hours.always_open
    assert 0 < hours.opens_on_sundays[groceries].mean() < 1


@given(st.integers(0, 1439), st.integers(1, 1440), st.integers(0, 3), st.sampled_from([0, 1]))
def test_times_between_lie_between(first: int, length: int, rhythm: int, free: int) -> None:
    ones = np.full(50, 1)
    redrawn = times_between(
        free * ones, (rhythm * ones).astype(np.int8), first * ones, length * ones, generator(1, "between")
    )
    # A table of 4096 draws: a little over the edge where hardly anybody pays.
    since = (redrawn / MINUTE_MS - first + 5) % 1440
    assert (since <= length + 10).all()
    assert (redrawn >= 0).all()
    assert (redrawn < DAY_MS).all()


@pytest.mark.parametrize("rhythm", range(len(RHYTHMS)))
def test_times_between_are_those_of_the_day_that_fall_there(rhythm: int) -> None:
    day, size = FIRST_DAY + 1, 40_000
    all_day = times_of_day(day, np.full(size, rhythm, np.int8), generator(1, "all day"))
    interval = all_day[(all_day >= 10 * HOUR_MS) & (all_day < 20 * HOUR_MS)]
    ones = np.ones(size, np.int64)
    redrawn = times_between(
        0 * ones, np.full(size, rhythm, np.int8), 600 * ones, 600 * ones, generator(2, "between")
    )
    edges = np.arange(10, 21) * HOUR_MS
    expected, actual = (np.histogram(times, edges)[0] / len(times) for times in (interval, redrawn))
    assert actual == pytest.approx(expected, abs=0.015)
