"""Campaigns react to declines, each with its own reaction; everything else stays the same, every time."""

from itertools import takewhile

import pytest

from fraudsim.log.events import Transaction, Truth
from fraudsim.log.topics import LABELS
from producers.sources.reacting_source import REACTION_SHARES, ReactingSource, patience_of, reaction_of
from producers.sources.world_source import WorldSource
from producers.world.config import WorldConfig
from producers.world.world import World

WORLD = World(WorldConfig(cards=1_500, seed=5, fraud_scale=10))
SOURCE = WorldSource(WORLD, 40)


def two_days():
    """Transactions and truths of the first two live days."""
    end = SOURCE.start_ms + 2 * 86_400_000
    items = takewhile(lambda item: item.due_ms < end, SOURCE.items())
    return [item for item in items if item.topic != LABELS]


ITEMS = two_days()


class Fixed:
    """A source of the items made above."""

    name, start_ms = "fixed", SOURCE.start_ms

    def items(self):
        return iter(ITEMS)


def played(declines=lambda item: item.campaign_id is not None):
    """What is sent where some transactions are declined as soon as they are sent."""
    source = ReactingSource(Fixed(), WORLD)
    sent = []
    for item in source.items():
        sent.append(source.react(item))
        if sent[-1] is not None and isinstance(item.event, Transaction) and declines(item):
            source.add_decline(item.event.tx_id)
    return sent


def by_reaction(sent, reaction):
    """Original and sent transactions of campaigns with a reaction, after their patience is exhausted."""
    found, declines = [], {}
    for before, after in zip(ITEMS, sent, strict=True):
        campaign = before.campaign_id
        if campaign is None or not isinstance(before.event, Transaction):
            continue
        if declines.get(campaign, 0) >= patience_of(campaign, 5) and reaction_of(campaign, 5) == reaction:
            found.append((before.event, after.event if after else None))
        declines[campaign] = declines.get(campaign, 0) + (after is not None)
    return found


@pytest.fixture(scope="module")
def sent():
    return played()


def test_without_declines_everything_is_sent_as_it_is():
    assert played(lambda item: False) == ITEMS


def test_declines_of_honest_payments_change_nothing():
    assert played(lambda item: item.campaign_id is None) == ITEMS


def test_only_campaigns_that_lost_their_patience_change(sent):
    for before, after in zip(ITEMS, sent, strict=True):
        if before.campaign_id is None:
            assert after == before
    patient = {item.campaign_id for item in ITEMS if item.campaign_id is not None}
    assert len(patient) > 50
    begun = set()
    for before, after in zip(ITEMS, sent, strict=True):
        if before.campaign_id not in begun and isinstance(before.event, Transaction):
            begun.add(before.campaign_id)
            assert after == before


def test_some_lower_their_amounts_further_with_every_decline(sent):
    pairs = by_reaction(sent, "lower")
    assert len(pairs) > 20
    for before, after in pairs:
        assert after.amount_cents <= max(before.amount_cents * 0.6 + 1, 1_000)
        assert (after.merchant_id, after.card_id) == (before.merchant_id, before.card_id)
        if before.channel == "atm":
            assert after.amount_cents % 1_000 == 0
    assert min(after.amount_cents / before.amount_cents for before, after in pairs) < 0.3


def test_some_buy_the_same_elsewhere(sent):
    pairs = by_reaction(sent, "elsewhere")
    assert sum(before.merchant_id != after.merchant_id for before, after in pairs) > 10
    for before, after in pairs:
        assert (after.mcc, after.amount_cents, after.channel) == (
            before.mcc,
            before.amount_cents,
            before.channel,
        )
        assert (after.lat is None) == (before.lat is None)


def test_some_take_another_card(sent):
    pairs = by_reaction(sent, "move_on")
    assert sum(before.card_id != after.card_id for before, after in pairs) > 10
    keys = [item.key for item in sent if item is not None and isinstance(item.event, Transaction)]
    assert keys == [item.event.card_id for item in sent if item and isinstance(item.event, Transaction)]


def test_some_give_up_and_take_their_truth_with_them(sent):
    assert len([after for _, after in by_reaction(sent, "end") if after is None]) > 5
    paid = {item.event.tx_id for item in sent if item and isinstance(item.event, Transaction)}
    truths = {item.event.tx_id for item in sent if item and isinstance(item.event, Truth)}
    frauds = {i.event.tx_id for i in sent if i and isinstance(i.event, Transaction) and i.campaign_id}
    assert truths == frauds <= paid
    assert frauds


def test_the_same_declines_lead_to_the_same_stream(sent):
    assert played() == sent


def test_reactions_come_in_the_shares_that_are_stated():
    reactions = [reaction_of(f"c{n}", 5) for n in range(10_000)]
    for reaction, share in REACTION_SHARES:
        assert reactions.count(reaction) / len(reactions) == pytest.approx(share, abs=0.02)
    assert {patience_of(f"c{n}", 5) for n in range(100)} == {1, 2, 3}
