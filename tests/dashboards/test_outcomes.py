"""Decisions and the truth about them, in any order of arrival."""

import random

import pytest

from dashboards.outcomes import AwaitedDecision, AwaitingTruth, DecisionTruth
from fraudsim.archive.first_decisions import FirstDecisions
from producers.ledger.entry import Fraud

FRAUD = Fraud("bin_attack", "a")


def decision(tx_id, ts=0):
    return AwaitedDecision(tx_id=tx_id, ts=ts, card_id="c", action="approve", amount_cents=100)


def test_a_fraud_is_named_before_or_after_its_decision():
    awaiting = AwaitingTruth(wait_s=10, capacity=100)
    before, after = decision("before"), decision("after", 1)
    awaiting.add_decisions([before], 0)
    awaiting.add_fraud("before", FRAUD)
    awaiting.add_fraud("after", FRAUD)
    awaiting.add_decisions([after], 1)
    assert awaiting.pop_due(1_000) == [DecisionTruth(before, FRAUD), DecisionTruth(after, FRAUD)]
    assert awaiting.pop_due(2_000) == []


def test_what_is_not_named_in_time_is_honest_and_no_sooner():
    awaiting = AwaitingTruth(wait_s=10, capacity=100)
    early, late = decision("early"), decision("late")
    awaiting.add_decisions([early], 0)
    awaiting.add_decisions([late], 5)
    assert awaiting.pop_due(9.9) == []
    assert awaiting.pop_due(10) == [DecisionTruth(early, None)]
    assert awaiting.pop_due(15) == [DecisionTruth(late, None)]
    assert len(awaiting) == 0


def test_memory_is_bounded_and_no_decision_is_dropped_by_it():
    awaiting = AwaitingTruth(wait_s=10, capacity=3)
    left = []
    for n in range(8):
        awaiting.add_decisions([decision(str(n), n)], 0)
        left += awaiting.pop_due(0)
    assert [truth.decision.tx_id for truth in left] == list("01234")
    assert [truth.decision.tx_id for truth in awaiting.pop_due(100)] == list("567")
    for n in range(5):
        awaiting.add_fraud(f"f{n}", FRAUD)
    for name in ("f0", "f4"):
        awaiting.add_decisions([decision(name)], 0)
    assert [truth.fraud for truth in awaiting.pop_due(100)] == [None, FRAUD], "the oldest is forgotten"


@pytest.mark.parametrize("seed", range(5))
def test_every_decision_leaves_once_with_its_truth_and_in_order_of_time(seed):
    rng = random.Random(seed)
    decisions = [decision(str(n), n) for n in range(200)]
    frauds = {str(n): Fraud(f"typology {n % 3}") for n in rng.sample(range(200), 20)}
    steps = [("decided", item.tx_id) for item in decisions] + [("named", tx_id) for tx_id in frauds]
    rng.shuffle(steps)
    awaiting = AwaitingTruth(wait_s=1_000, capacity=1_000)
    for now_s, (what, tx_id) in enumerate(steps):
        if what == "decided":
            awaiting.add_decisions([decisions[int(tx_id)]], now_s)
        else:
            awaiting.add_fraud(tx_id, frauds[tx_id])
    truths = awaiting.pop_due(10_000)
    assert [(t.decision.tx_id, t.fraud) for t in truths] == [(str(n), frauds.get(str(n))) for n in range(200)]


def test_of_several_decisions_for_one_offset_the_first_stands():
    first = FirstDecisions()
    # A stopped scorer (x) and its successor write in turns.
    written = [(0, "a"), (1, "a"), (2, "x"), (2, "a"), (3, "x"), (4, "x"), (3, "a"), (4, "a"), (5, "a")]
    stood = [scorer + str(offset) for offset, scorer in written if first.is_first(0, offset)]
    assert stood == ["a0", "a1", "x2", "x3", "x4", "a5"]
    assert first.is_first(1, 0), "each partition has offsets of its own"
