"""The world: keyed by its seed, made in any order, credible in the large."""

import subprocess
import sys
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudsim.errors import FraudsimError
from producers.history.fingerprint import fingerprint
from producers.history.tables import day_tables
from producers.population.closed_shops import closed_rows
from producers.population.columns import CHANNELS, DAY_MS, POS
from producers.world.config import WorldConfig
from producers.world.day import Day
from producers.world.world import World

SMALL = WorldConfig(cards=400, fraud_scale=5)

PROGRAM = """
from producers.history.fingerprint import fingerprint
from producers.history.tables import day_tables
from producers.world.config import WorldConfig
from producers.world.world import World
world = World(WorldConfig(cards=400, fraud_scale=5))
names = [t.name for t in world.typologies]
print(fingerprint(**day_tables(world.population, world.day(9), names)._asdict()))
"""


def day_fingerprint(world: World, day: Day) -> str:
    names = [typology.name for typology in world.typologies]
    return fingerprint(**day_tables(world.population, day, names)._asdict())


@pytest.fixture(scope="module")
def month() -> list[Day]:
    world = World(WorldConfig())
    return [world.day(number) for number in range(30)]


def test_the_same_seed_gives_the_same_day_in_another_process() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    world = World(SMALL)
    assert done.stdout.strip() == day_fingerprint(world, world.day(9))


@given(st.permutations(range(8)))
@settings(max_examples=4, deadline=None)
def test_a_day_is_the_same_whichever_days_were_made_before(order: list[int]) -> None:
    world = World(SMALL)
    fingerprints = {number: day_fingerprint(world, world.day(number)) for number in order}
    alone = World(SMALL)
    assert day_fingerprint(alone, alone.day(5)) == fingerprints[5]


def test_another_seed_gives_another_world() -> None:
    one, other = World(SMALL), World(WorldConfig(cards=400, fraud_scale=5, seed=8))
    assert day_fingerprint(one, one.day(0)) != day_fingerprint(other, other.day(0))
    assert one.fingerprint != other.fingerprint


def test_days_are_sorted_by_time_and_id_and_hold_nothing_of_other_days(month: list[Day]) -> None:
    for number, day in enumerate(month):
        ts = day.transactions.ts
        assert (ts // DAY_MS == WorldConfig().start_day + number).all()
        keys = list(zip(ts.tolist(), day.tx_number.tolist(), strict=True))
        assert keys == sorted(keys)


def test_ids_are_unique_over_the_world_and_do_not_tell_fraud(month: list[Day]) -> None:
    ids = np.concatenate([day.tx_number for day in month])
    fraud = np.concatenate([day.is_fraud for day in month])
    assert len(np.unique(ids)) == len(ids)
    rank = ids[fraud].astype(np.float64) / 2**64
    # A uniform sample's mean lies within five standard errors of a half.
    assert abs(rank.mean() - 0.5) < 5 * np.sqrt(1 / 12 / fraud.sum())


def test_ties_in_time_are_in_the_order_of_ids() -> None:
    world = World(WorldConfig(cards=30_000))
    day = world.day(0)
    tied = np.flatnonzero(np.diff(day.transactions.ts) == 0)
    assert len(tied)
    assert (day.tx_number[tied] < day.tx_number[tied + 1]).all()


def test_fraud_is_rare_and_mostly_card_not_present(month: list[Day]) -> None:
    fraud = np.concatenate([day.is_fraud for day in month])
    channel = np.concatenate([day.transactions.channel for day in month])
    assert 0.002 <= fraud.mean() <= 0.005
    assert (channel[fraud] == CHANNELS.index("ecommerce")).mean() > 0.6
    assert (channel[~fraud] == POS).mean() > 0.5


def test_cards_pay_about_two_and_a_half_times_a_day(month: list[Day]) -> None:
    per_card = np.mean([len(day.transactions) for day in month]) / 5000
    assert 2.3 < per_card < 3.0


def test_merchants_are_heavy_tailed_and_honest_cards_burst_too(month: list[Day]) -> None:
    merchant = np.concatenate([day.transactions.merchant for day in month])
    visits = np.sort(np.bincount(merchant))[::-1]
    assert visits[: len(visits) // 10].sum() > 0.3 * visits.sum()
    bursts = 0
    for day in month:
        rows = day.transactions.take(~day.is_fraud)
        order = np.lexsort((rows.ts, rows.card))
        card, ts = rows.card[order], rows.ts[order]
        bursts += int(((card[4:] == card[:-4]) & (ts[4:] - ts[:-4] < 1_800_000)).sum())
    frauds = sum(int((day.typology == 0).sum()) for day in month)
    assert bursts > frauds / 4


def test_amounts_are_whole_cents_within_bounds(month: list[Day]) -> None:
    for day in month:
        assert day.transactions.amount_cents.dtype == np.int64
        assert day.transactions.amount_cents.min() >= 50


def test_nobody_is_paid_while_closed(month: list[Day]) -> None:
    population = World(WorldConfig()).population
    for day in month:
        assert not len(closed_rows(population, day.transactions.ts, day.transactions.merchant))


def test_a_world_grows_by_its_rate_and_its_fraud_with_it() -> None:
    config = WorldConfig(cards=1500, fraud_scale=8)
    still, growing = World(config), World(replace(config, growth_per_year=1.0))
    days = range(366, 380)
    plain, grown = ([world.day(number) for number in days] for world in (still, growing))
    assert sum(len(d.transactions) for d in grown) / sum(len(d.transactions) for d in plain) == pytest.approx(
        2, rel=0.06
    )
    assert sum(int(d.is_fraud.sum()) for d in grown) > 1.4 * sum(int(d.is_fraud.sum()) for d in plain)


def test_campaigns_run_on_over_midnight() -> None:
    world = World(SMALL)
    days_of: dict[str, set[int]] = {}
    for number in range(12):
        day = world.day(number)
        for index in np.unique(day.campaign[day.campaign >= 0]):
            days_of.setdefault(day.campaign_ids[index], set()).add(number)
    assert any(len(days) > 1 for days in days_of.values())


@pytest.mark.parametrize("cards", [1, 2, 10])
def test_tiny_worlds_work(cards: int) -> None:
    world = World(WorldConfig(cards=cards, merchants=cards, fraud_scale=50))
    assert sum(len(world.day(number).transactions) for number in range(10)) > 0


@pytest.mark.parametrize(
    "values",
    [
        {"cards": 0},
        {"merchants": 0},
        {"seed": -1},
        {"fraud_scale": -1.0},
        {"camouflage": 1.5},
        {"start_day": 5},
        {"growth_per_year": -1.0},
    ],
)
def test_a_value_out_of_range_is_named(values: dict[str, Any]) -> None:
    name, value = next(iter(values.items()))
    with pytest.raises(FraudsimError, match=f"{name}={value}"):
        WorldConfig(**values)


def test_no_column_is_forgotten_when_rows_are_taken() -> None:
    rows = World(SMALL).day(0).transactions
    subset = rows.take(np.arange(3))
    assert all(len(getattr(subset, field.name)) == 3 for field in fields(subset))
