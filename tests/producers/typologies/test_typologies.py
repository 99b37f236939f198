"""One contract for every fraud typology."""

import doctest
from collections.abc import Callable
from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from producers.population.columns import ATM, DAY_MS, ECOMMERCE, POS, RECURRING, Columns, concatenate
from producers.population.habits import honest_transactions
from producers.population.population import Population, build_population
from producers.typologies import Typology, default_typologies
from producers.typologies.account_takeover import AccountTakeover
from producers.typologies.base import BaseTypology
from producers.typologies.bin_attack import BinAttack
from producers.typologies.card_testing import CardTesting
from producers.typologies.compromised_merchant import WINDOW_DAYS, CompromisedMerchant
from producers.typologies.device_ring import DeviceRing
from producers.typologies.friendly_fraud import FriendlyFraud
from producers.typologies.impossible_travel import ImpossibleTravel
from producers.typologies.leaked_card import LeakedCard
from producers.typologies.lost_card import LostCard
from producers.typologies.merchant_collusion import MerchantCollusion
from producers.typologies.push_scam import PushScam
from producers.typologies.refund_abuse import RefundAbuse
from producers.typologies.slow_drip import SlowDrip
from producers.world.config import FIRST_DAY, WorldConfig
from producers.world.world import World
from testing.contracts import typology as contract

SEED = 7
COUNTER = count()
DAYS = range(FIRST_DAY, FIRST_DAY + 6)
TYPOLOGIES = default_typologies(fraud_scale=20.0)


@pytest.fixture(scope="module")
def population() -> Population:
    return build_population(600, 120, SEED)


@pytest.fixture(params=TYPOLOGIES, ids=lambda typology: typology.name)
def typology(request: pytest.FixtureRequest) -> Typology:
    typology: Typology = request.param
    return typology


def test_names_are_unique() -> None:
    names = [typology.name for typology in TYPOLOGIES]
    assert len(set(names)) == len(names)


def test_it_is_deterministic(typology: Typology, population: Population) -> None:
    contract.check_name(typology)
    contract.check_determinism(typology, population, SEED)


def test_campaign_ids_are_unique_over_days(typology: Typology, population: Population) -> None:
    contract.check_campaign_ids(typology, population, SEED)


def test_transactions_are_of_the_population_and_of_its_days(
    typology: Typology, population: Population
) -> None:
    contract.check_columns(typology, population, SEED)
    contract.check_span(typology, population, SEED)


def test_nobody_is_paid_while_closed(typology: Typology, population: Population) -> None:
    contract.check_opening_hours(typology, population, SEED)


def test_the_truth_of_a_world_is_complete(typology: Typology) -> None:
    contract.check_world_truth(typology, SEED)


def test_each_makes_as_much_fraud_as_its_share(typology: BaseTypology, population: Population) -> None:
    contract.check_volume(typology, typology.fraud_share, population, SEED)


def test_the_default_typologies_are_those_of_a_world() -> None:
    world = World(WorldConfig(cards=600, merchants=120, seed=SEED, fraud_scale=20))
    assert world.typologies == TYPOLOGIES


class Broken(CardTesting):
    """A typology that breaks the rule its test asks for."""

    def __init__(self, spoil: Callable[[Columns], Columns]) -> None:
        super().__init__(fraud_share=0.02)
        object.__setattr__(self, "spoil", spoil)

    def transactions(self, population: Population, seed: int, day: int, rng: np.random.Generator) -> Columns:
        spoil: Callable[[Columns], Columns] = self.__dict__["spoil"]
        return spoil(super().transactions(population, seed, day, rng))


def test_the_examples_of_the_contract_hold() -> None:
    results = doctest.testmod(contract)
    assert results.attempted
    assert not results.failed


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda rows: replace(rows, ts=rows.ts - DAY_MS), "but has transactions on days"),
        (lambda rows: replace(rows, ts=rows.ts + 2 * DAY_MS), "but has transactions on days"),
        (lambda rows: replace(rows, card=rows.card + 600), "card 6.* must lie in 0 to 599"),
        (lambda rows: replace(rows, amount_cents=rows.amount_cents * 0), "amount_cents=0 must be above 0"),
        (lambda rows: replace(rows, amount_cents=rows.amount_cents / 1), "is float64, must be int64"),
        (lambda rows: concatenate([rows, rows, rows]), "does mean_size agree"),
        (lambda rows: replace(rows, amount_cents=rows.amount_cents + next(COUNTER)), "second call"),
    ],
)
def test_a_broken_typology_is_named(spoil: Callable[[Columns], Columns], message: str) -> None:
    with pytest.raises(AssertionError, match=f"card_testing.*{message}"):
        contract.check_typology(Broken(spoil))


def test_more_fraud_share_gives_more_campaigns(population: Population) -> None:
    few, many = default_typologies(5.0), default_typologies(50.0)
    for low, high in zip(few, many, strict=True):
        counts = [sum(len(t.campaigns(population, SEED, day)) for day in DAYS) for t in (low, high)]
        assert counts[0] < counts[1]


def test_card_testing_is_a_burst_of_small_amounts_on_one_card(population: Population) -> None:
    typology = CardTesting(fraud_share=0.02)
    for day in DAYS:
        for campaign in typology.campaigns(population, SEED, day):
            rows = campaign.columns
            assert len(np.unique(rows.card)) == 1
            assert 5 <= len(rows) <= 13
            assert (rows.channel == ECOMMERCE).all()
            tries = rows.take(rows.amount_cents <= 2500)
            assert len(tries) >= 5
            assert np.ptp(tries.ts) <= 32 * 60_000
            assert len(np.unique(tries.merchant)) <= 3


def test_a_leaked_card_is_spent_within_two_days_and_sometimes_once(population: Population) -> None:
    campaigns = [c for day in DAYS for c in LeakedCard(fraud_share=0.05).campaigns(population, SEED, day)]
    assert all(len(np.unique(c.columns.card)) == 1 for c in campaigns)
    assert all(np.ptp(c.columns.ts) <= 48 * 3_600_000 for c in campaigns)
    single = np.mean([len(c.columns) == 1 for c in campaigns])
    assert 0.15 < single < 0.45


def test_the_cards_of_a_compromised_merchant_paid_there_before(population: Population) -> None:
    typology = CompromisedMerchant(fraud_share=0.2)
    day = next(d for d in DAYS if typology.campaigns(population, SEED, d))
    campaign = typology.campaigns(population, SEED, day)[0]
    victims = set(campaign.columns.card.tolist())
    before = [honest_transactions(population, SEED, d) for d in range(day - WINDOW_DAYS, day)]
    card = np.concatenate([rows.card for rows in before])
    merchant = np.concatenate([rows.merchant for rows in before])
    shared = [m for m in np.unique(merchant) if victims <= set(card[merchant == m].tolist())]
    assert any(not population.merchants.online[m] for m in shared)
    assert np.bincount(campaign.columns.card).max() <= 4


def campaigns_of(typology: Typology, population: Population) -> list[Columns]:
    columns = [c.columns for day in DAYS for c in typology.campaigns(population, SEED, day)]
    assert columns
    return columns


def test_the_default_mix_lies_where_real_rates_do() -> None:
    world = World(WorldConfig(cards=3000, seed=SEED))
    days = [world.day(number) for number in range(28, 43)]
    fraud = np.concatenate([day.is_fraud for day in days])
    web = np.concatenate([np.isin(day.transactions.channel, (ECOMMERCE, RECURRING)) for day in days])
    assert 0.002 < fraud.mean() < 0.005
    assert web[fraud].mean() > 0.5


def test_a_bin_attack_tries_many_cards_at_one_shop(population: Population) -> None:
    for rows in campaigns_of(BinAttack(0.03, camouflage=0.0), population):
        tries = rows.take(rows.merchant == rows.merchant[0])
        assert len(np.unique(tries.card)) >= 10
        assert np.median(tries.amount_cents) < 500
        assert np.ptp(rows.ts[: len(tries)]) <= 20 * 60_000
        assert len(np.unique(tries.ip)) == 1


def test_a_lost_card_is_used_in_its_own_city_without_device_or_address(population: Population) -> None:
    for rows in campaigns_of(LostCard(0.03, camouflage=0.0), population):
        assert len(np.unique(rows.card)) == 1
        assert not rows.device.any()
        assert not rows.ip.any()
        assert (population.merchants.city[rows.merchant] == population.cards.city[rows.card]).all()
        assert np.ptp(rows.ts) <= 8 * 3_600_000


def test_an_account_takeover_is_one_new_device_small_then_dear(population: Population) -> None:
    rising = []
    for rows in campaigns_of(AccountTakeover(0.05, camouflage=0.0), population):
        assert len(np.unique(rows.card)) == 1
        assert len(np.unique(rows.device[rows.device > 0])) <= 1
        own = (population.cards.device[rows.card[0]], population.cards.second_device[rows.card[0]])
        assert not np.isin(rows.device, own).any()
        rising.append(rows.amount_cents[1:].max() > rows.amount_cents[0])
    assert np.mean(rising) > 0.9


def test_impossible_travel_is_away_from_home(population: Population) -> None:
    for rows in campaigns_of(ImpossibleTravel(0.03), population):
        assert np.isin(rows.channel, (POS, ATM)).all()
        assert (population.merchants.city[rows.merchant] != population.cards.city[rows.card]).all()


def test_a_device_ring_shares_machines_over_many_cards(population: Population) -> None:
    for rows in campaigns_of(DeviceRing(0.03, camouflage=0.0), population):
        assert len(np.unique(rows.card)) >= 6
        assert len(np.unique(rows.device[rows.device > 0])) == 1
        assert len(np.unique(rows.ip)) == 1


def test_a_colluding_merchant_is_little_known_and_busts_out(population: Population) -> None:
    ranks = np.argsort(np.argsort(population.merchants.popularity))
    for rows in campaigns_of(MerchantCollusion(0.03, camouflage=0.0), population):
        assert len(np.unique(rows.merchant)) == 1
        assert ranks[rows.merchant[0]] < len(ranks) / 3
        first = rows.ts.min() // DAY_MS
        late = rows.ts // DAY_MS - first >= 6
        assert late.mean() > 0.6 or len(np.unique(rows.ts // DAY_MS)) <= 2


def test_a_push_scam_is_paid_by_its_victim_and_ends_large(population: Population) -> None:
    for rows in campaigns_of(PushScam(0.03), population):
        card = int(rows.card[0])
        assert len(np.unique(rows.merchant)) == 1
        addresses = (population.cards.home_ip[card], population.cards.carrier_ip[card])
        assert np.isin(rows.ip, addresses).mean() >= 0.3
        assert rows.amount_cents[-1] > 2 * rows.amount_cents[0]


def test_friendly_fraud_does_not_depend_on_camouflage(population: Population) -> None:
    plain = campaigns_of(FriendlyFraud(0.03, camouflage=0.0), population)
    hidden = campaigns_of(FriendlyFraud(0.03, camouflage=1.0), population)
    for one, other in zip(plain, hidden, strict=True):
        assert np.array_equal(one.amount_cents, other.amount_cents)
        assert np.array_equal(one.device, other.device)


def test_a_slow_drip_stays_small_over_weeks(population: Population) -> None:
    for rows in campaigns_of(SlowDrip(0.03), population):
        assert rows.amount_cents.max() < 3000
        assert len(rows) >= 5
        assert np.ptp(rows.ts) > 14 * DAY_MS


def test_refund_abuse_buys_the_same_again_and_again(population: Population) -> None:
    for rows in campaigns_of(RefundAbuse(0.05, camouflage=0.0), population):
        assert len(np.unique(rows.merchant)) == 1
        assert np.bincount(rows.card).max() >= 3
        assert rows.amount_cents.std() < 0.1 * rows.amount_cents.mean()
