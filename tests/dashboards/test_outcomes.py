"""Decisions and the truth about them, in any order of arrival."""

import random

import pytest

from dashboards.outcomes import UNNAMED, AwaitedDecision, AwaitingTruth, DecisionTruth
from fraudsim.archive.first_decisions import FirstDecisions


def decision(tx_id):
    return AwaitedDecision(tx_id, "approve", 100, None)


def test_a_fraud_is_returned_once_named_and_decided_in_either_order():
    awaiting = AwaitingTruth(wait_s=10, capacity=100)
    before, after = decision("before"), decision("after")
    assert awaiting.add_decision(before, 0) is None
    assert awaiting.add_fraud("before", "bin_attack") == DecisionTruth(before, "bin_attack")
    assert awaiting.add_fraud("after", None) is None
    assert awaiting.add_decision(after, 1) == DecisionTruth(after, UNNAMED)
    assert not list(awaiting.pop_honest(1_000))


def test_what_is_not_named_in_time_is_honest_and_no_sooner():
    awaiting = AwaitingTruth(wait_s=10, capacity=100)
    early, late = decision("early"), decision("late")
    awaiting.add_decision(early, 0)
    awaiting.add_decision(late, 5)
    assert not list(awaiting.pop_honest(9.9))
    assert list(awaiting.pop_honest(10)) == [DecisionTruth(early, None)]
    assert list(awaiting.pop_honest(15)) == [DecisionTruth(late, None)]
    assert len(awaiting) == 0


def test_memory_is_bounded_and_no_decision_is_dropped_by_it():
    awaiting = AwaitingTruth(wait_s=10, capacity=3)
    truths = [awaiting.add_decision(decision(str(n)), n) for n in range(8)]
    assert [truth and truth.decision.tx_id for truth in truths] == [None] * 3 + list("01234")
    assert [s.decision.tx_id for s in awaiting.pop_honest(100)] == list("567")
    for n in range(5):
        awaiting.add_fraud(f"f{n}", "x")
    assert awaiting.add_decision(decision("f0"), 0) is None, "forgotten, as the oldest of too many"
    assert awaiting.add_decision(decision("f4"), 0)


@pytest.mark.parametrize("seed", range(5))
def test_every_decision_is_returned_exactly_once_by_whatever_order(seed):
    rng = random.Random(seed)
    decisions = [decision(str(n)) for n in range(200)]
    frauds = {str(n): f"typology {n % 3}" for n in rng.sample(range(200), 20)}
    steps = [("decided", d.tx_id) for d in decisions] + [("named", tx_id) for tx_id in frauds]
    rng.shuffle(steps)
    awaiting, truths = AwaitingTruth(wait_s=1_000, capacity=1_000), []
    for now_s, (what, tx_id) in enumerate(steps):
        truth = (
            awaiting.add_decision(decisions[int(tx_id)], now_s)
            if what == "decided"
            else awaiting.add_fraud(tx_id, frauds[tx_id])
        )
        truths += [truth] if truth else []
    truths += awaiting.pop_honest(10_000)
    assert {s.decision.tx_id: s.typology for s in truths} == {str(n): frauds.get(str(n)) for n in range(200)}
    assert len(truths) == 200


def test_of_several_decisions_for_one_offset_the_first_stands():
    first = FirstDecisions()
    # A stopped scorer (x) and its successor write in turns.
    written = [(0, "a"), (1, "a"), (2, "x"), (2, "a"), (3, "x"), (4, "x"), (3, "a"), (4, "a"), (5, "a")]
    stood = [scorer + str(offset) for offset, scorer in written if first.is_first(0, offset)]
    assert stood == ["a0", "a1", "x2", "x3", "x4", "a5"]
    assert first.is_first(1, 0), "each partition has offsets of its own"
