"""People react to what stops their payments, each in their way; all else stays the same, every time."""

from collections import defaultdict
from itertools import takewhile

import pytest

from fraudsim.log.events import Transaction, Truth
from fraudsim.log.topics import LABELS
from producers.labels.consequences import MINUTE_MS, Consequences
from producers.labels.outcome import DecidedPayment, outcome_of
from producers.sources.reacting_source import ReactingSource
from producers.sources.reactions import (
    OTHERS,
    REACTIONS,
    lowers_retry,
    patience_of,
    reaction_of,
    reactions_of,
    retry_ms,
)
from producers.sources.world_source import WorldSource
from producers.typologies import TYPOLOGY_CLASSES
from producers.world.config import WorldConfig
from producers.world.world import World

WORLD = World(WorldConfig(cards=1_500, seed=5, fraud_scale=10))
SOURCE = WorldSource(WORLD, 40)
RULES = Consequences(step_up_answered=1, step_up_fooled=0, review_misses=0)


def two_days():
    """Transactions and truths of the first two live days."""
    end = SOURCE.start_ms + 2 * 86_400_000
    items = takewhile(lambda item: item.due_ms < end, SOURCE.items())
    return [item for item in items if item.topic != LABELS]


ITEMS = two_days()
TYPOLOGY_OF = {item.event.campaign_id: item.event.typology for item in ITEMS if isinstance(item.event, Truth)}


class Fixed:
    """A source of the items made above."""

    name, start_ms = "fixed", SOURCE.start_ms

    def items(self):
        return iter(ITEMS)


def decided(tx, action, rule_hits=()):
    return DecidedPayment(
        tx_id=tx.tx_id, ts=tx.ts, card_id=tx.card_id, amount_cents=tx.amount_cents, action=action,
        channel=tx.channel, rule_hits=list(rule_hits),
    )  # fmt: skip


def played(decide=lambda item, tx: decided(tx, "decline") if item.campaign_id else None, rules=RULES):
    """What is sent where some transactions are decided as soon as they are sent, and what is tried again."""
    source = ReactingSource(Fixed(), WORLD, rules)
    sent, retries = [], []
    for item in source.items():
        sent.append(source.react(item))
        retries += source.retries(item.due_ms)
        if sent[-1] is not None and isinstance(item.event, Transaction):
            payment = decide(item, sent[-1].event)
            if payment is not None:
                source.add_decision(payment)
                if payment.action == "review":
                    source.add_verdict(payment.tx_id, payment.ts + 5 * MINUTE_MS)
    return sent, retries


def unit_of(item):
    by_card = reactions_of(TYPOLOGY_OF[item.campaign_id]).by_card
    return f"{item.campaign_id}/{item.event.card_id}" if by_card else item.campaign_id


def by_reaction(sent, reaction, stop="decline"):
    """Original and sent transactions of units with a reaction, after their patience is exhausted."""
    found, stops = [], defaultdict(int)
    for before, after in zip(ITEMS, sent, strict=True):
        if before.campaign_id is None or not isinstance(before.event, Transaction):
            continue
        unit, table = unit_of(before), reactions_of(TYPOLOGY_OF[before.campaign_id])
        if stops[unit] >= patience_of(unit, table, stop, 5) and reaction_of(unit, table, stop, 5) == reaction:
            found.append((before.event, after.event if after else None))
        stops[unit] += after is not None
    return found


@pytest.fixture(scope="module")
def sent():
    return played()[0]


def test_where_nothing_is_stopped_everything_is_sent_as_it_is():
    assert played(lambda item, tx: None) == (ITEMS, [])


def test_every_typology_has_its_reactions_to_every_stop():
    assert REACTIONS.keys() == {kind.name for kind in TYPOLOGY_CLASSES}
    for table in (*REACTIONS.values(), OTHERS):
        for stop in ("decline", "step_up_denied", "step_up_unanswered", "review", "block"):
            assert sum(table.to(stop).values()) == pytest.approx(1)


def test_only_campaigns_that_lost_their_patience_change(sent):
    begun = set()
    for before, after in zip(ITEMS, sent, strict=True):
        if before.campaign_id is None:
            assert after == before
        elif isinstance(before.event, Transaction) and unit_of(before) not in begun:
            begun.add(unit_of(before))
            assert after == before
    assert len(begun) > 50


def test_some_lower_their_amounts_further_with_every_decline(sent):
    pairs = by_reaction(sent, "lower")
    assert len(pairs) > 10
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
        same = ("mcc", "amount_cents", "channel")
        assert all(getattr(after, name) == getattr(before, name) for name in same)
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


@pytest.mark.parametrize(
    ("action", "rule_hits", "stop"),
    [("step_up", (), "step_up_denied"), ("review", (), "review"), ("decline", ("card_blocked",), "block")],
)
def test_campaigns_hear_of_whatever_stopped_them_and_only_once_it_is_certain(action, rule_hits, stop):
    sent, _ = played(lambda item, tx: decided(tx, action, rule_hits) if item.campaign_id else None)
    ended = by_reaction(sent, "end", stop)
    changed = [
        before for before, after in zip(ITEMS, sent, strict=True)
        if after != before and isinstance(before.event, Transaction)
    ]  # fmt: skip
    assert len(changed) > 20
    assert any(after is None for _, after in ended)
    certain_ms = {}
    for item in ITEMS:
        if item.campaign_id is not None and isinstance(item.event, Transaction):
            payment = decided(item.event, action, rule_hits)
            found = outcome_of(payment, True, RULES, 5, payment.ts + 5 * MINUTE_MS)
            certain_ms.setdefault(unit_of(item), []).extend([] if found.paid else [found.final_ms])
    assert all(item.due_ms >= min(certain_ms[unit_of(item)]) for item in changed)


def test_a_share_of_campaigns_or_none_reacts():
    assert played(rules=Consequences(campaigns_react=0))[0] == ITEMS


HONEST = {item.event.tx_id for item in ITEMS[:400] if item.campaign_id is None}


def decline_honest(item, tx):
    return decided(tx, "decline") if item.event.tx_id in HONEST else None


def test_honest_customers_try_again_a_little_later_or_for_less():
    rules = Consequences(honest_retries=0.5, honest_leaves=0)
    sent, retries = played(decline_honest, rules)
    assert sent == ITEMS
    by_id = {item.event.tx_id: item.event for item in ITEMS if isinstance(item.event, Transaction)}
    outcomes = {tx_id: outcome_of(decided(by_id[tx_id], "decline"), False, rules, 5) for tx_id in HONEST}
    due = {f"{tx_id}-retry" for tx_id, found in outcomes.items() if found.reaction == "retries"}
    assert {item.event.tx_id for item in retries} == due
    assert 0.4 < len(retries) / len(HONEST) < 0.6
    for item in retries:
        tx = by_id[item.event.tx_id.removesuffix("-retry")]
        assert item.due_ms == item.event.ts == retry_ms(tx.tx_id, tx.ts, 5)
        assert tx.ts + 2 * MINUTE_MS <= item.event.ts <= tx.ts + 30 * MINUTE_MS
        lowered = item.event.amount_cents < tx.amount_cents
        assert lowered == lowers_retry(tx.tx_id, 5) or tx.amount_cents <= 1_000
        assert (item.key, item.event.merchant_id) == (tx.card_id, tx.merchant_id)
    assert [item.due_ms for item in retries] == sorted(item.due_ms for item in retries)


def test_an_honest_customer_who_leaves_pays_no_more_but_the_fraud_on_the_card_goes_on():
    rules = Consequences(honest_retries=0, honest_leaves=1)
    sent, retries = played(decline_honest, rules)
    assert retries == []
    left = {item.event.card_id for item in ITEMS[:400] if item.event.tx_id in HONEST}
    later = [(before, after) for before, after in zip(ITEMS, sent, strict=True) if before not in ITEMS[:400]]
    gone = [before for before, after in later if after is None]
    assert len(gone) > 100
    assert all(item.campaign_id is None and item.event.card_id in left for item in gone)
    stayed = [b for b, a in later if a and b.campaign_id is None and b.event.card_id in left]
    assert not stayed


def test_the_same_decisions_lead_to_the_same_stream(sent):
    assert played()[0] == sent


def test_a_resumed_start_does_not_repeat_the_retries_of_the_one_before():
    rules = Consequences(honest_retries=1, honest_leaves=0)
    _, retries = played(decline_honest, rules)
    middle = next(item.due_ms for item in ITEMS if item.due_ms >= retries[len(retries) // 2].due_ms)
    source, again = ReactingSource(Fixed(), WORLD, rules), []
    for item in ITEMS:
        if item.campaign_id is None and item.event.tx_id in HONEST and item.due_ms < middle:
            source.add_decision(decided(item.event, "decline"))
    for item in source.items():
        if item.due_ms >= middle:
            source.react(item)
            again += source.retries(item.due_ms)
    assert again == [
        item for item in retries
        if item.due_ms >= middle and by_time(item) < middle
    ]  # fmt: skip


def by_time(item):
    """Event time of the payment that is tried again."""
    tx_id = item.event.tx_id.removesuffix("-retry")
    return next(one.event.ts for one in ITEMS if one.event.tx_id == tx_id)
