"""When retraining is due, and the gate's comparison."""

import numpy as np
import pytest

from lifecycle.retraining.gate import compare
from lifecycle.retraining.triggers import ByDrift, ByMoney, ByPerformance, ByPeriod, Evidence, Never
from model.artefact.costs import Costs, Stakes, decision_costs, expected_costs
from stream_features.catalogue.features import DAY

DUE = Evidence(
    now_ms=40 * DAY, trained_at_ms=10 * DAY, drifted=("area of amount",), cost_share=0.6, cost_share_then=0.4,
    at_stake_cents=100_000, retraining_cents=50_000,
)  # fmt: skip


def evidence(**changes):
    return Evidence(**{**vars(DUE), **changes})


@pytest.mark.parametrize(
    ("trigger", "not_due"),
    [
        (ByPeriod(7 * DAY), {"now_ms": 17 * DAY - 1}),
        (ByPeriod(7 * DAY), {"now_ms": 3 * DAY}),  # the clock went back
        (ByDrift(), {"drifted": ()}),
        (ByDrift(), {"now_ms": 23 * DAY}),
        (ByPerformance(), {"cost_share": 0.5}),
        (ByPerformance(), {"cost_share": None}),
        (ByPerformance(), {"cost_share_then": None}),
        (ByMoney(), {"retraining_cents": 80_000}),  # 0.2 x 100,000 x 4 weeks
        (ByMoney(), {"cost_share": 0.3}),
    ],
)
def test_a_trigger_gives_a_reason_when_due_and_none_otherwise(trigger, not_due):
    assert trigger.reason(DUE)
    assert trigger.reason(evidence(**not_due)) is None
    assert Never().reason(DUE) is None


def test_the_cost_of_a_decision_is_that_of_the_cheapest_action_by_the_model():
    rng = np.random.default_rng(1)
    n, costs = 200, Costs()
    stakes = Stakes(rng.integers(100, 90_000, n), rng.random(n) < 0.3, rng.random(n) < 0.5)
    probabilities = rng.random(n)
    got = decision_costs(probabilities, stakes, costs)
    for row in range(n):
        amount, hold = float(stakes.amount_cents[row]), float(stakes.can_hold[row])
        wanted = expected_costs(amount, float(probabilities[row]), hold, costs)
        truth = expected_costs(amount, float(stakes.is_fraud[row]), hold, costs)
        assert got[row] == pytest.approx(truth[int(np.argmin(wanted))])


def test_cards_are_compared_whole():
    """A card with a thousand equal payments is one card: the interval is as wide as for one payment."""
    rng = np.random.default_rng(2)
    differences = rng.normal(-1, 3, 50)
    once = compare(np.arange(50), np.zeros(50), differences, 5)
    cards = np.repeat(np.arange(50), 1_000)
    often = compare(cards, np.zeros(50_000), np.repeat(differences, 1_000), 5)
    assert (often.difference, often.low) == pytest.approx((once.difference, once.low))
    assert once.passed == (differences.sum() <= 0)
    assert once.low < 1_000 * differences.mean() < once.high
