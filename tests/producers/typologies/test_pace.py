"""The tempo of attacks: as many transactions, at times that are nearer or further; at 1 nothing changes."""

import numpy as np
import pytest

from fraudsim.errors import FraudsimError
from producers.population.population import build_population
from producers.typologies import TYPOLOGY_CLASSES, default_typologies
from producers.typologies.card_testing import CardTesting
from producers.typologies.compromised_merchant import CompromisedMerchant
from producers.typologies.lost_card import LostCard
from producers.typologies.pace import PacedTypology
from producers.typologies.slow_drip import SlowDrip
from producers.world.config import FIRST_DAY, WorldConfig
from producers.world.world import World
from testing.contracts.typology import check_typology


def campaigns(typology, population):
    days = range(FIRST_DAY, FIRST_DAY + 8)
    return [campaign for day in days for campaign in typology.campaigns(population, 7, day)]


@pytest.fixture(scope="module")
def population():
    return build_population(600, 120, 7)


@pytest.mark.parametrize("tempo", [0.25, 60.0])
@pytest.mark.parametrize("kind", [CardTesting, SlowDrip])
def test_a_tempo_divides_the_time_between_the_transactions_of_a_campaign_and_keeps_the_rest(
    kind, tempo, population
):
    usual = campaigns(kind(0.02), population)
    paced = campaigns(PacedTypology(kind(0.02), tempo), population)
    assert len(usual) > 5
    for one, other in zip(usual, paced, strict=True):
        assert one.campaign_id == other.campaign_id
        before, after = one.columns.ts - one.columns.ts.min(), other.columns.ts - other.columns.ts.min()
        assert np.abs(np.sort(after) - np.sort(before) / tempo).max() <= 0.5
        assert sorted(one.columns.amount_cents) == sorted(other.columns.amount_cents)


@pytest.mark.parametrize("tempo", [0.2, 20.0])
@pytest.mark.parametrize("kind", [CardTesting, CompromisedMerchant])
def test_paced_typologies_keep_the_contract(kind, tempo):
    check_typology(PacedTypology(kind(0.004), tempo))


def test_people_who_carry_a_card_do_not_follow_a_tempo():
    paced = default_typologies(tempo=60.0)
    assert {t.name for t in paced if not isinstance(t, PacedTypology)} == {
        "lost_card", "impossible_travel", "merchant_collusion",
    }  # fmt: skip
    assert not LostCard.follows_tempo
    assert all(type(t) in TYPOLOGY_CLASSES for t in default_typologies(tempo=1.0))


def test_a_tempo_of_1_is_the_world_from_before():
    usual, fast = World(WorldConfig(cards=100)), World(WorldConfig(cards=100, tempo=2.0))
    assert "tempo" not in usual.config.as_dict()
    assert usual.fingerprint == "25937507722e337c"
    assert fast.fingerprint != usual.fingerprint


def test_a_tempo_that_a_world_cannot_have_is_named():
    with pytest.raises(FraudsimError, match=r"world: tempo=0 must be between 0.1 and 1000"):
        WorldConfig(tempo=0)
    with pytest.raises(FraudsimError, match=r"at tempo=0.1 a campaign lasts 280 days, .* start_day=200"):
        World(WorldConfig(cards=50, tempo=0.1, start_day=200))
