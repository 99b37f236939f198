"""Two arms on one simulated line: neither takes the other's daily limits, whatever it decides."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudsim.log.events import Transaction
from lifecycle.experiment.card_assignment import CardAssignment
from model.artefact.calibration import Calibration
from model.artefact.thresholds import Thresholds
from scorer.policy.policy import ByThresholds, Exploration, Limits, Policy
from simulator.line.scoring import PaymentColumns, Scoring, ScoringArm
from simulator.line.split_scoring import SplitScoring
from stream_features.vector import SIZE

LIMITS = Limits(reviews_per_day=4, declined_share_of_day=0.2)
THRESHOLDS = Thresholds(0.1, 0.2, 0.3)
POLICY = Policy("p-1", {"champion": ByThresholds(THRESHOLDS)}, LIMITS, Exploration(), ())
VECTOR = np.zeros(SIZE, np.float32)


def scoring(version):
    flat = SimpleNamespace(predict=lambda rows: np.full(len(rows), 0.5, np.float32))
    arm = ScoringArm(flat, THRESHOLDS, Calibration(1.0, 0.0), version, "champion")
    return Scoring(arm, POLICY, "champion")


def split_of(share):
    assignment = CardAssignment("salt")
    assignment.change_share(share)
    return SplitScoring(scoring("a"), scoring("b"), assignment), assignment


def decided(share, payments):
    """Actions by number of the payment; each counts as decided before it is."""
    split, _ = split_of(share)
    table = pa.table({"card_id": [card for _, card, _ in payments]})
    times = np.array([number for number, *_ in payments], np.int64)
    actions = {}
    for row, (number, card, score) in enumerate(payments):
        split.count_rows(table, times, slice(row, row + 1))
        tx = Transaction(tx_id=f"t{number}", ts=number, card_id=card, amount_cents=10_000)
        choice = split.decide(tx, VECTOR, score, score, None, split.arm_of(card))
        actions[number] = (choice.action, *choice.held_back)
    return actions


PAYMENTS = st.lists(st.tuples(st.integers(0, 30), st.sampled_from([0.05, 0.25, 0.25, 0.9])), max_size=60)


@settings(max_examples=60, deadline=None)
@given(PAYMENTS, st.sampled_from([0.1, 0.25, 0.5]))
def test_an_arm_s_actions_depend_on_its_own_cards_only(drawn, share):
    payments = [(number, f"c{card}", score) for number, (card, score) in enumerate(drawn)]
    _, assignment = split_of(share)
    together = decided(share, payments)
    for in_b in (False, True):
        own = [item for item in payments if assignment.is_challenged(item[1]) == in_b]
        assert decided(share, own) == {number: together[number] for number, *_ in own}


def test_reviews_a_day_are_divided_by_the_cards_and_come_to_the_whole():
    payments = [(number, f"c{number}", 0.25) for number in range(400)]
    _, assignment = split_of(0.25)
    together = decided(0.25, payments)
    reviews = [number for number, action in together.items() if action == ("review",)]
    assert len(reviews) == 4
    assert sum(assignment.is_challenged(f"c{number}") for number in reviews) == 1


def test_without_an_experiment_the_limits_are_whole():
    assert split_of(0.0)[0].arm_of("c1") is None
    payments = [(number, f"c{number}", 0.25) for number in range(20)]
    assert list(decided(0.0, payments).values()).count(("review",)) == 4


def test_a_payment_that_moves_to_another_card_is_that_card_s_arm_s():
    split, assignment = split_of(0.5)
    cards = [f"c{number}" for number in range(40)]
    of_a = next(card for card in cards if not assignment.is_challenged(card))
    of_b = next(card for card in cards if assignment.is_challenged(card))
    table = pa.table({"card_id": [of_a, of_a], "channel": ["pos", "pos"], "amount_cents": [1, 1]})
    split.move(table, 1, of_b)
    assert split.rows_of_challenger(table).tolist() == [False, True]
    columns, rows = PaymentColumns.of(table), np.arange(2)
    low = SimpleNamespace(predict=lambda vectors: np.full(len(vectors), 0.05, np.float32))
    split._challenger._forest = low
    assessed = split.assess(np.zeros((2, SIZE), np.float32), columns, rows)
    assert assessed.scores.tolist() == [0.5, np.float32(0.05)]
