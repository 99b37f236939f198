"""Opening hours: everybody pays where and when a shop is open, and nobody queues at the door."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.calendar.opening_hours import CATEGORY_HOURS, OpeningHours, are_open, is_rest_day
from producers.calendar.rhythm import HOUR_MS, MINUTE_MS, RHYTHMS, times_between, times_of_day
from producers.population.closed_shops import closed_rows, redraw_times, replace_closed_merchants
from producers.population.columns import DAY_MS, RECURRING
from producers.population.habits import honest_transactions
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
        mine = category == index
        if kind.name not in CATEGORY_HOURS:
            assert hours.always_open[mine].all()
            continue
        trade = CATEGORY_HOURS[kind.name]
        ordinary = mine & ~hours.always_open
        assert (np.abs(hours.opens[0, ordinary] / 60 - trade.opens) <= trade.spread + 0.25).all()
        assert (np.abs(hours.closes[0, ordinary] / 60 - trade.closes) <= trade.spread + 0.25).all()
        assert len(np.unique(hours.opens[0, ordinary])) > 2
    groceries = (category == CATEGORY_INDEX["grocery"]) & ~hours.always_open
    assert 0 < hours.opens_on_sundays[groceries].mean() < 1


@given(cards=st.integers(1, 40), merchants=st.integers(1, 90), seed=st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_somewhere_in_every_city_is_always_open(cards: int, merchants: int, seed: int) -> None:
    population = build_population(cards, merchants, seed)
    city = np.arange(population.cities)
    assert (population.always_open_by_city.has(city) == population.shops_by_city.has(city)).all()
    for day in (SUNDAY, SUNDAY + 1):
        rows = honest_transactions(population, seed, day)
        # In so small a world a mandate may be with a shop, which charges it at night.
        rows = rows.take(np.flatnonzero(rows.channel != RECURRING))
        assert not len(closed_rows(population, rows.ts, rows.merchant))


def test_nobody_is_paid_while_closed(population: Population) -> None:
    for day in range(FIRST_DAY, FIRST_DAY + 8):
        rows = honest_transactions(population, 7, day)
        assert not len(closed_rows(population, rows.ts, rows.merchant))


@given(day=st.integers(FIRST_DAY, FIRST_DAY + 400), seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_another_shop_is_open_and_in_the_same_town(population: Population, day: int, seed: int) -> None:
    rng = generator(seed, "shops")
    ts = day * DAY_MS + rng.integers(0, DAY_MS, size=500)
    merchant = rng.integers(0, len(population.merchants), size=500).astype(np.int32)
    closed = closed_rows(population, ts, merchant)
    chosen = replace_closed_merchants(population, ts, merchant, rng)
    assert not len(closed_rows(population, ts, chosen))
    assert np.array_equal(np.flatnonzero(chosen != merchant), closed)
    assert (population.merchants.city[chosen] == population.merchants.city[merchant]).all()


@given(day=st.integers(FIRST_DAY, FIRST_DAY + 400), seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_another_hour_is_of_the_same_date_and_nearly_always_open(
    population: Population, day: int, seed: int
) -> None:
    rng = generator(seed, "hours")
    size = 500
    ts = day * DAY_MS + rng.integers(0, DAY_MS, size=size)
    card = rng.integers(0, len(population.cards), size=size).astype(np.int32)
    shops = np.flatnonzero(population.merchants.hours.opens_on_sundays)
    merchant = rng.choice(shops, size=size).astype(np.int32)
    moved = redraw_times(population, ts, card, population.cards.zone[card], merchant, rng)
    assert (moved // DAY_MS == day).all()
    # What is left are the hours of Sunday that Monday's or Saturday's date holds, and the other way round.
    assert len(closed_rows(population, moved, merchant)) < 0.2 * size


@given(st.integers(0, 1439), st.integers(1, 1440), st.integers(0, 3), st.sampled_from([0, 1]))
def test_times_between_lie_between(first: int, length: int, rhythm: int, free: int) -> None:
    many = np.full(50, 1)
    found = times_between(
        free * many, (rhythm * many).astype(np.int8), first * many, length * many, generator(1, "between")
    )
    # A table of 4096 draws: a little over the edge where hardly anybody pays.
    since = (found / MINUTE_MS - first + 5) % 1440
    assert (since <= length + 10).all()
    assert (found >= 0).all()
    assert (found < DAY_MS).all()


@pytest.mark.parametrize("rhythm", range(len(RHYTHMS)))
def test_times_between_are_those_of_the_day_that_fall_there(rhythm: int) -> None:
    day, size = FIRST_DAY + 1, 40_000
    all_day = times_of_day(day, np.full(size, rhythm, np.int8), generator(1, "all day"))
    there = all_day[(all_day >= 10 * HOUR_MS) & (all_day < 20 * HOUR_MS)]
    many = np.ones(size, np.int64)
    found = times_between(
        0 * many, np.full(size, rhythm, np.int8), 600 * many, 600 * many, generator(2, "between")
    )
    edges = np.arange(10, 21) * HOUR_MS
    wanted, got = (np.histogram(times, edges)[0] / len(times) for times in (there, found))
    assert got == pytest.approx(wanted, abs=0.015)


def test_nobody_queues_at_the_door() -> None:
    population = build_population(4000, 200, 3)
    merchants = population.merchants
    since: list[np.ndarray] = []
    for day in range(FIRST_DAY + 1, FIRST_DAY + 5):
        rows = honest_transactions(population, 3, day)
        mine = np.flatnonzero(merchants.category[rows.merchant] == CATEGORY_INDEX["clothing"])
        merchant = rows.merchant[mine]
        local = (rows.ts[mine] + merchants.zone[merchant].astype(np.int64) * HOUR_MS) % DAY_MS // MINUTE_MS
        since.append(local - merchants.hours.opens[0, merchant])
    minutes = np.concatenate(since)
    first, second = ((minutes // 20 == part).sum() for part in (0, 1))
    assert len(minutes) > 500
    assert first < 1.8 * second
