"""The contract of a fraud typology, for anybody's class that follows `producers.typologies.base.Typology`.

Every function raises an `AssertionError` that names the typology, the rule and the offending campaign or row.

Example:
    >>> from producers.typologies.lost_card import LostCard
    >>> check_typology(LostCard(fraud_share=0.006))
"""

import re
from collections.abc import Iterator
from dataclasses import fields
from typing import Final

import numpy as np

from producers.population.closed_shops import closed_rows
from producers.population.columns import CHANNELS, DAY_MS, EMPTY, Columns
from producers.population.population import Population, build_population
from producers.typologies.base import BaseTypology, Campaign, Typology
from producers.world.config import FIRST_DAY, WorldConfig
from producers.world.world import World

SEED: Final = 7
CARDS: Final = 600
MERCHANTS: Final = 120
DAYS: Final = range(FIRST_DAY, FIRST_DAY + 8)
"""A whole week and the first of January, so that Sundays and holidays are among them."""


def check_typology(typology: Typology, population: Population | None = None, seed: int = SEED) -> None:
    """Run the whole contract: a few seconds.

    Args:
        typology: with so much fraud that campaigns start within `DAYS`.
        population: 600 cards and 120 merchants by default.

    Raises:
        AssertionError: the typology breaks a rule; the message names it.

    Example:
        >>> from producers.typologies.push_scam import PushScam
        >>> check_typology(PushScam(fraud_share=0.004, camouflage=0.0))
    """
    population = population or build_population(CARDS, MERCHANTS, seed)
    check_name(typology)
    check_determinism(typology, population, seed)
    check_campaign_ids(typology, population, seed)
    check_columns(typology, population, seed)
    check_span(typology, population, seed)
    check_opening_hours(typology, population, seed)
    check_world_truth(typology, seed)
    if isinstance(typology, BaseTypology):
        check_volume(typology, typology.fraud_share, population, seed)


def check_name(typology: Typology) -> None:
    """The name is in lower case with underscores.

    Example:
        >>> from producers.typologies.slow_drip import SlowDrip
        >>> check_name(SlowDrip(fraud_share=0.01))
    """
    assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", typology.name), (
        f"typology name {typology.name!r} must be lower case words joined by underscores"
    )


def check_determinism(typology: Typology, population: Population, seed: int = SEED) -> None:
    """Equal arguments give equal campaigns, column by column.

    Example:
        >>> from producers.typologies.bin_attack import BinAttack
        >>> check_determinism(BinAttack(fraud_share=0.02), build_population(200, 60, 7))
    """
    for day in DAYS:
        first, second = (typology.campaigns(population, seed, day) for _ in range(2))
        first_ids, second_ids = ([c.campaign_id for c in campaigns] for campaigns in (first, second))
        assert first_ids == second_ids, (
            f"{typology.name}: two calls for day {day} give other campaigns: {first_ids}, {second_ids}"
        )
        for one, other in zip(first, second, strict=True):
            for field in fields(Columns):
                same = np.array_equal(getattr(one.columns, field.name), getattr(other.columns, field.name))
                assert same, f"{typology.name}: {one.campaign_id} has another {field.name} in a second call"


def check_campaign_ids(typology: Typology, population: Population, seed: int = SEED) -> None:
    """Campaigns start within `DAYS`, and their ids are unique over all days.

    Example:
        >>> from producers.typologies.leaked_card import LeakedCard
        >>> check_campaign_ids(LeakedCard(fraud_share=0.02), build_population(200, 60, 7))
    """
    ids = [campaign.campaign_id for _, campaign in _campaigns(typology, population, seed)]
    assert ids, f"{typology.name}: no campaign starts in {len(DAYS)} days; check it with a larger fraud share"
    repeated = sorted({campaign_id for campaign_id in ids if ids.count(campaign_id) > 1})
    assert not repeated, f"{typology.name}: campaign ids are not unique: {repeated[:3]}"


def check_columns(typology: Typology, population: Population, seed: int = SEED) -> None:
    """Columns have the types of `Columns`, and every row names a card and a merchant of the population.

    Example:
        >>> from producers.typologies.device_ring import DeviceRing
        >>> check_columns(DeviceRing(fraud_share=0.02), build_population(200, 60, 7))
    """
    limits = {
        "card": len(population.cards),
        "merchant": len(population.merchants),
        "channel": len(CHANNELS),
    }
    for _, campaign in _campaigns(typology, population, seed):
        rows, title = campaign.columns, f"{typology.name}: {campaign.campaign_id}"
        assert len(rows), f"{title} has no transactions; leave such a campaign out"
        for field in fields(Columns):
            column, dtype = getattr(rows, field.name), getattr(EMPTY, field.name).dtype
            assert column.dtype == dtype, f"{title}: {field.name} is {column.dtype}, must be {dtype}"
            assert column.shape == rows.ts.shape, f"{title}: {field.name} has shape {column.shape}"
        for name, limit in limits.items():
            low, high = getattr(rows, name).min(), getattr(rows, name).max()
            assert 0 <= low <= high < limit, f"{title}: {name} {low} to {high} must lie in 0 to {limit - 1}"
        lowest = rows.amount_cents.min()
        assert lowest > 0, f"{title}: amount_cents={lowest} must be above 0"


def check_span(typology: Typology, population: Population, seed: int = SEED) -> None:
    """Every transaction falls within `span_days` days, counted from the day its campaign starts.

    Example:
        >>> from producers.typologies.lost_card import LostCard
        >>> check_span(LostCard(fraud_share=0.02), build_population(200, 60, 7))
    """
    for day, campaign in _campaigns(typology, population, seed):
        first, last = campaign.columns.ts.min() // DAY_MS, campaign.columns.ts.max() // DAY_MS
        assert day <= first <= last < day + typology.span_days, (
            f"{typology.name}: {campaign.campaign_id} starts on day {day} with span_days="
            f"{typology.span_days}, but has transactions on days {first} to {last}"
        )


def check_opening_hours(typology: Typology, population: Population, seed: int = SEED) -> None:
    """No payment is made at a closed merchant: that would reveal the fraud.

    Example:
        >>> from producers.typologies.impossible_travel import ImpossibleTravel
        >>> check_opening_hours(ImpossibleTravel(fraud_share=0.02), build_population(200, 60, 7))
    """
    for _, campaign in _campaigns(typology, population, seed):
        rows = campaign.columns
        closed = closed_rows(population, rows.ts, rows.merchant)
        assert not len(closed), (
            f"{typology.name}: {campaign.campaign_id} pays {len(closed)} times while the merchant is closed, "
            f"first at ts={rows.ts[closed[:1]].tolist()}; see population.closed_shops"
        )


def check_world_truth(typology: Typology, seed: int = SEED, start: int = 3) -> None:
    """A world with the typology holds each transaction of a campaign once, with its typology and campaign.

    `start` is the day, counted from the world's day 0, whose campaigns are followed to their end.

    Example:
        >>> from producers.typologies.refund_abuse import RefundAbuse
        >>> check_world_truth(RefundAbuse(fraud_share=0.02))
    """
    world = World(WorldConfig(cards=CARDS, merchants=MERCHANTS, seed=seed, fraud_scale=20))
    others = tuple(other for other in world.typologies if other.name != typology.name)
    world.typologies = (*others, typology)
    campaigns = typology.campaigns(world.population, seed, world.config.start_day + start)
    expected = {campaign.campaign_id: len(campaign.columns) for campaign in campaigns}
    counts = dict.fromkeys(expected, 0)
    for number in range(start, start + typology.span_days):
        day = world.day(number)
        assert ((day.typology >= 0) == (day.campaign >= 0)).all(), (
            f"{typology.name}: day {number} has frauds without a campaign or campaigns of honest rows"
        )
        for index in day.campaign[day.typology == len(others)].tolist():
            if day.campaign_ids[index] in counts:
                counts[day.campaign_ids[index]] += 1
    for campaign_id, count in counts.items():
        assert count == expected[campaign_id], (
            f"{typology.name}: {campaign_id} has {expected[campaign_id]} transactions, its days hold {count}"
        )


def check_volume(typology: Typology, fraud_share: float, population: Population, seed: int = SEED) -> None:
    """Frauds of twenty days are 0.6 to 1.5 times `fraud_share` of all transactions.

    Example:
        >>> from producers.typologies.card_testing import CardTesting
        >>> check_volume(CardTesting(fraud_share=0.02), 0.02, build_population(600, 120, 7))
    """
    days = range(FIRST_DAY, FIRST_DAY + 20)
    frauds = sum(len(c.columns) for day in days for c in typology.campaigns(population, seed, day))
    expected = len(days) * population.transactions_per_day * fraud_share
    assert 0.6 * expected < frauds < 1.5 * expected, (
        f"{typology.name}: {frauds} frauds in {len(days)} days, fraud_share={fraud_share:g} gives "
        f"{expected:.0f}; does mean_size agree with its campaigns?"
    )


def _campaigns(typology: Typology, population: Population, seed: int) -> Iterator[tuple[int, Campaign]]:
    """Campaigns of `DAYS`, each with the day it starts."""
    for day in DAYS:
        for campaign in typology.campaigns(population, seed, day):
            yield day, campaign
