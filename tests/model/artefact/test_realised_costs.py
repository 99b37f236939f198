"""The expected cost of each action is the mean of what it comes to, over ten seeds, within its interval."""

import numpy as np
import pytest

from fraudsim.log.events import ACTIONS
from model.artefact.costs import Costs, Stakes, costs_of_actions
from producers.labels.back_office import BackOffice
from producers.labels.consequences import MINUTE_MS, Consequences
from producers.labels.outcome import DecidedPayment, outcome_of
from producers.labels.prices import price_of

SEEDS = range(10)
PAYMENTS = 3_000
T_99 = 3.25
"""Student's t, 9 degrees of freedom, two-sided 99 %."""
TS = 1_700_000_000_000
WORLDS = {
    "default": Consequences(analysts=3),
    "another": Consequences(
        analysts=3, step_up_answered=0.7, step_up_fooled=0.3, step_up_slips=0.1,
        review_misses=0.3, review_false_alarms=0.1, hold_cost_cents=120, honest_retries=0.2,
        honest_leaves=0.05,
    ),
    "no holds": Consequences(analysts=3, hold_hours=0),
}  # fmt: skip


def payments(seed, action, channel):
    rng = np.random.default_rng(seed)
    amounts = np.maximum(rng.lognormal(8.5, 1.0, PAYMENTS), 100).astype(np.int64)
    fraud = rng.random(PAYMENTS) < 0.3
    decided = [
        DecidedPayment(
            tx_id=f"{seed}-{n}", ts=TS + n * 5 * MINUTE_MS, card_id=f"c{n}", amount_cents=int(amount),
            score=0.5, action=action, channel=channel,
        )
        for n, amount in enumerate(amounts)
    ]  # fmt: skip
    return decided, amounts, fraud


def realised(decided, fraud, rules, seed):
    """What each payment came to, cents: the desk reviews as it does in a run."""
    office = BackOffice(rules, seed, keep_ms=10**12)
    for payment, is_fraud in zip(decided, fraud.tolist(), strict=True):
        office.on_decision(payment, is_fraud)
    reviewed = {label.tx_id: label.known_at for label in office.advance(TS + 10**9)}
    return np.array([
        price_of(
            outcome_of(payment, is_fraud, rules, seed, reviewed.get(payment.tx_id)), payment.amount_cents,
            is_fraud, rules,
        ).total
        for payment, is_fraud in zip(decided, fraud.tolist(), strict=True)
    ])  # fmt: skip


def differences(action, channel, rules):
    """By seed, the mean of realised minus expected cost, cents a payment; and the mean expected cost."""
    found, expected = [], []
    for seed in SEEDS:
        decided, amounts, fraud = payments(seed, action, channel)
        stakes = Stakes(amounts, fraud, np.full(PAYMENTS, channel == "ecommerce"))
        due = costs_of_actions(stakes, Costs.of(rules))[ACTIONS.index(action)]
        found.append((realised(decided, fraud, rules, seed) - due).mean())
        expected.append(due.mean())
    return np.array(found), float(np.mean(expected))


@pytest.mark.parametrize("channel", ["ecommerce", "pos"])
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("world", WORLDS)
def test_every_action_costs_what_the_policy_expects(world, action, channel):
    differing, expected = differences(action, channel, WORLDS[world])
    half_width = T_99 * differing.std(ddof=1) / np.sqrt(len(differing))
    assert abs(differing.mean()) <= half_width + 0.5  # whole cents
    assert half_width < 0.1 * expected + 1


def test_the_costs_of_other_consequences_are_outside_the_interval():
    differing, _ = differences("step_up", "ecommerce", WORLDS["another"])
    wrong = Costs.of(Consequences())
    due = [
        costs_of_actions(Stakes(amounts, fraud, np.ones(PAYMENTS, np.bool_)), wrong)[1].mean()
        - costs_of_actions(Stakes(amounts, fraud, np.ones(PAYMENTS, np.bool_)), Costs.of(WORLDS["another"]))[
            1
        ].mean()
        for _, amounts, fraud in (payments(seed, "step_up", "ecommerce") for seed in SEEDS)
    ]
    off = differing - np.array(due)
    assert abs(off.mean()) > 10 * T_99 * off.std(ddof=1) / np.sqrt(len(off))
