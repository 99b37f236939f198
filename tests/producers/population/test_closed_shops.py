"""Payments at closed shops: everybody pays where and when a shop is open, and nobody queues at the door."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.calendar.rhythm import HOUR_MS, MINUTE_MS
from producers.population.closed_shops import closed_rows, redraw_times, replace_closed_merchants
from producers.population.columns import DAY_MS, RECURRING
from producers.population.habits import honest_transactions
from producers.population.population import Population, build_population
from producers.reference import CATEGORY_INDEX
from producers.rng import generator
from producers.world.config import FIRST_DAY

SUNDAY = FIRST_DAY + 6


@pytest.fixture(scope="module")
def population() -> Population:
    return build_population(1500, 300, 7)


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


def test_nobody_queues_at_the_door() -> None:
    population = build_population(4000, 200, 3)
    merchants = population.merchants
    since: list[np.ndarray] = []
    for day in range(FIRST_DAY + 1, FIRST_DAY + 5):
        rows = honest_transactions(population, 3, day)
        clothing_rows = np.flatnonzero(merchants.category[rows.merchant] == CATEGORY_INDEX["clothing"])
        merchant = rows.merchant[clothing_rows]
        local = (
            (rows.ts[clothing_rows] + merchants.zone[merchant].astype(np.int64) * HOUR_MS)
            % DAY_MS
            // MINUTE_MS
        )
        since.append(local - merchants.hours.opens[0, merchant])
    minutes = np.concatenate(since)
    first, second = ((minutes // 20 == part).sum() for part in (0, 1))
    assert len(minutes) > 500
    assert first < 1.8 * second
