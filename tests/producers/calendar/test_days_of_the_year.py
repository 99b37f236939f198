"""Seasons, public holidays, pay days and growth: pure functions of the day that move visits and add none."""

from calendar import monthrange
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.calendar.growth import TrafficGrowth
from producers.calendar.pay_days import PAY_DAYS, pay_day_factors
from producers.calendar.public_holidays import (
    date_of,
    day_of,
    easter_sunday,
    is_public_holiday,
    public_holidays,
)
from producers.calendar.seasons import (
    CATEGORY_SEASON,
    HOLIDAY_FACTORS,
    MONTHLY_FACTORS,
    category_factors,
    year_factors,
)
from producers.population.habits import honest_transactions
from producers.population.population import Population, build_population
from producers.reference import CATEGORIES, CATEGORY_INDEX
from producers.world.config import FIRST_DAY

YEARS = st.integers(min_value=1970, max_value=2400)
DAYS = st.integers(min_value=100, max_value=150_000)


@pytest.fixture(scope="module")
def population() -> Population:
    return build_population(4000, 800, 7)


@pytest.mark.parametrize(
    "easter",
    ["1954-04-18", "1981-04-19", "2008-03-23", "2011-04-24", "2024-03-31", "2025-04-20", "2038-04-25"],
)
def test_easter_falls_where_it_is_known_to(easter: str) -> None:
    assert easter_sunday(int(easter[:4])).isoformat() == easter


@given(YEARS)
def test_easter_is_a_sunday_between_its_limits(year: int) -> None:
    easter = easter_sunday(year)
    assert easter.weekday() == 6
    assert date(year, 3, 22) <= easter <= date(year, 4, 25)


@given(YEARS)
def test_a_year_has_six_public_holidays(year: int) -> None:
    days = {date_of(day) for day in public_holidays(year)}
    assert {date(year, 1, 1), date(year, 5, 1), date(year, 12, 25), date(year, 12, 26)} < days
    assert len(days) == 6
    assert is_public_holiday(day_of(easter_sunday(year) - timedelta(days=2)))


@given(YEARS)
def test_every_category_has_the_mean_one_over_a_year(year: int) -> None:
    factors = year_factors(year)
    assert factors.shape == (day_of(date(year + 1, 1, 1)) - day_of(date(year, 1, 1)), len(CATEGORIES))
    assert factors.mean(axis=0) == pytest.approx(np.ones(len(CATEGORIES)))
    assert factors.min() > 0.15


@given(DAYS)
def test_from_day_to_day_only_named_days_jump(day: int) -> None:
    today, tomorrow = date_of(day), date_of(day + 1)
    named = any(is_public_holiday(d) for d in (day, day + 1)) or max(today, tomorrow).month >= 11
    change = np.abs(category_factors(day + 1) / category_factors(day) - 1).max()
    assert named or change < 0.03


def test_every_category_has_a_season() -> None:
    assert set(CATEGORY_SEASON) == {category.name for category in CATEGORIES}
    assert set(CATEGORY_SEASON.values()) == set(MONTHLY_FACTORS)
    assert {CATEGORIES[CATEGORY_INDEX[name]].kind for name in HOLIDAY_FACTORS} <= {"shop", "atm"}


def test_gifts_are_bought_before_christmas_and_travel_in_summer() -> None:
    gifts, travel = CATEGORY_INDEX["marketplace"], CATEGORY_INDEX["travel"]
    december, february, july = (category_factors(day_of(date(2024, *d))) for d in ((12, 18), (2, 7), (7, 10)))
    sales = category_factors(day_of(date(2024, 11, 29)))
    assert december[gifts] > 1.8 * february[gifts]
    assert sales[gifts] > 1.4 * category_factors(day_of(date(2024, 11, 28)))[gifts]
    assert july[travel] > 1.3 * december[travel]


@given(DAYS, st.sampled_from(sorted(PAY_DAYS)))
def test_pay_day_factors_have_the_mean_one_from_pay_day_to_pay_day(day: int, pay_day: int) -> None:
    def paid(number: int) -> bool:
        on = date_of(number)
        return on.day == min(pay_day, monthrange(on.year, on.month)[1])

    first = next(d for d in range(day, day + 62) if paid(d))
    last = next(d for d in range(first + 1, first + 40) if paid(d))
    month = np.array([pay_day_factors(d)[pay_day] for d in range(first, last)])
    assert month.mean() == pytest.approx(1)
    assert (np.diff(month) < 0).all()
    assert month[0] > 1.2
    assert month[-1] < 0.97


def test_the_shares_of_pay_days_sum_to_one(population: Population) -> None:
    assert sum(PAY_DAYS.values()) == pytest.approx(1)
    for pay_day, share in PAY_DAYS.items():
        assert (population.cards.pay_day == pay_day).mean() == pytest.approx(share, abs=0.04)


@given(st.floats(-0.5, 3.0), st.integers(0, 4000))
def test_growth_is_compound_from_the_first_day(per_year: float, days: int) -> None:
    growth = TrafficGrowth(per_year, FIRST_DAY)
    assert growth.factor(FIRST_DAY) == 1
    once, twice = growth.factor(FIRST_DAY + days), growth.factor(FIRST_DAY + 2 * days)
    assert twice == pytest.approx(once**2)


def bought(population: Population, day: int) -> np.ndarray:
    merchant = honest_transactions(population, 7, day).merchant
    return np.bincount(population.merchants.category[merchant], minlength=len(CATEGORIES))


def test_seasons_and_holidays_show_in_what_is_bought(population: Population) -> None:
    # Two Wednesdays, the second of them the 25th of December.
    week = [day_of(date(2024, 12, 18)) + i for i in range(8)]
    before, christmas = bought(population, week[0]), bought(population, week[-1])
    gifts = [CATEGORY_INDEX[name] for name in ("clothing", "electronics", "department")]
    web = [CATEGORY_INDEX[name] for name in ("games", "food_delivery")]
    assert christmas[gifts].sum() < 0.5 * before[gifts].sum()
    assert christmas[CATEGORY_INDEX["grocery"]] < 0.75 * before[CATEGORY_INDEX["grocery"]]
    assert christmas[CATEGORY_INDEX["restaurant"]] > before[CATEGORY_INDEX["restaurant"]]
    assert christmas[web].sum() == pytest.approx(before[web].sum(), rel=0.15)


def test_a_card_pays_more_often_after_its_pay_day(population: Population) -> None:
    paid_late = population.cards.pay_day == 25

    def share(days: range) -> float:
        """Of everybody's payments, those of the cards paid on the 25th."""
        card = np.concatenate([honest_transactions(population, 7, day).card for day in days])
        return float(paid_late[card].mean())

    payday = day_of(date(2024, 6, 25))
    assert 1.15 < share(range(payday, payday + 3)) / share(range(payday - 5, payday)) < 1.6
