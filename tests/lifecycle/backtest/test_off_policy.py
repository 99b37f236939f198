"""The off-policy estimate against worlds where the answer is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudsim.errors import FraudsimError
from lifecycle.backtest.logged_run import logged_propensities
from lifecycle.backtest.off_policy import LoggedDecisions, effective_sample, estimate
from lifecycle.backtest.verdict import Gate, gate_of, paired_by_card

APPROVED, DECLINED = [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]
SHARE = 0.2


def decisions(rng: np.random.Generator, n: int = 4_000) -> tuple[LoggedDecisions, float]:
    """A declines the half that B approves, but lets a share through; with the true difference in cents."""
    fraud = rng.random(n) < 0.3
    amount = rng.lognormal(8, 1, n)
    flagged = rng.random(n) < 0.5
    explored = flagged & (rng.random(n) < SHARE)
    logged = np.where(flagged[:, None], [[SHARE, 0.0, 0.0, 1 - SHARE]], [APPROVED])
    zero = np.zeros(n)
    if_fraud = np.stack([amount, zero, zero, zero], axis=1)
    if_honest = np.stack([zero, zero, zero, np.full(n, 500.0)], axis=1)
    cost = np.where(fraud[:, None], if_fraud, if_honest)
    other = np.tile(APPROVED, (n, 1))
    true = float(((other - logged) * cost).sum())
    return LoggedDecisions(
        card=np.arange(n) // 4,
        logged=logged,
        other=other,
        labelled=~flagged | explored,
        weight=np.where(explored, 1 / SHARE, 1.0),
        supported=np.ones(n, np.bool_),
        is_fraud=fraud & (~flagged | explored),
        cost_if_fraud=if_fraud,
        cost_if_honest=if_honest,
    ), true


def test_weights_of_exploration_give_the_true_difference_on_average():
    errors, covered = [], 0
    for seed in range(200):
        logged, true = decisions(np.random.default_rng(seed))
        found = estimate(logged, cards=1_000, weeks=1.0).difference
        errors.append(found.mean - true)
        covered += found.low <= true <= found.high
    standard_error = np.std(errors) / np.sqrt(len(errors))
    assert abs(np.mean(errors)) < 4 * standard_error
    # A coverage of 93 % falls below 175 of 200 once in 500 times.
    assert covered >= 175


def test_without_the_weights_it_would_be_wrong():
    logged, true = decisions(np.random.default_rng(1), 40_000)
    unweighted = LoggedDecisions(
        **{name: getattr(logged, name) for name in logged.__struct_fields__ if name != "weight"},
        weight=np.ones(len(logged.card)),
    )
    true /= 10  # per 1,000 of the 10,000 cards
    assert estimate(logged, 10_000, 1.0).difference.mean == pytest.approx(true, rel=0.1)
    assert estimate(unweighted, 10_000, 1.0).difference.mean < true / 2


def test_too_little_knowledge_is_refused_in_one_line():
    logged, _ = decisions(np.random.default_rng(2), 200)
    with pytest.raises(FraudsimError, match=r"worth \d+\.\d decisions of equal weight, under 50") as refusal:
        estimate(logged, 50, 1.0)
    assert "\n" not in str(refusal.value)


def test_what_nobody_could_know_widens_the_interval_by_both_of_its_ends():
    logged, _ = decisions(np.random.default_rng(3))
    supported = logged.supported.copy()
    supported[:10] = False
    other = LoggedDecisions(
        **{name: getattr(logged, name) for name in logged.__struct_fields__ if name != "supported"},
        supported=supported,
    )
    found = estimate(other, 1_000, 1.0)
    low, high = found.unsupported_cents
    assert low < 0 < high
    assert found.difference.low == pytest.approx(found.supported_difference.low + low)
    assert found.difference.high == pytest.approx(found.supported_difference.high + high)


def test_decisions_on_which_both_agree_need_no_label():
    logged, _ = decisions(np.random.default_rng(4))
    same = LoggedDecisions(
        **{name: getattr(logged, name) for name in logged.__struct_fields__ if name != "other"},
        other=logged.logged,
    )
    found = estimate(same, 1_000, 1.0)
    assert (found.differing, found.difference.low, found.difference.high) == (0, 0, 0)
    assert gate_of(found.difference, 1.0) is Gate.NOT_WORSE


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=30))
def test_the_effective_sample_is_between_one_and_all(weights):
    assert 1 - 1e-9 <= effective_sample(np.array(weights)) <= len(weights) + 1e-9


@pytest.mark.parametrize(
    ("action", "weight", "held_back", "expected"),
    [
        ("approve", 1.0, [], APPROVED),
        ("approve", 50.0, ["exploration"], [0.02, 0.0, 0.0, 0.98]),
        ("decline", 1 / 0.98, [], [0.02, 0.0, 0.0, 0.98]),
        ("decline", 1.0, [], DECLINED),
    ],
)
def test_runs_that_logged_no_propensities_have_those_of_their_weight(action, weight, held_back, expected):
    row = {"action": action, "weight": weight, "held_back": held_back, "propensities": None}
    assert logged_propensities(row) == pytest.approx(expected)


@given(
    st.lists(st.integers(-(10**6), 10**6), min_size=2, max_size=50), st.integers(0, 50), st.floats(0.5, 20)
)
def test_the_paired_interval_is_that_of_the_textbook(cents, silent, weeks):
    everything = np.array(cents + [0] * silent, np.float64) / weeks * 1_000
    found = paired_by_card(np.array(cents, np.float64), weeks, len(everything))
    half = 1.959964 * everything.std(ddof=1) / np.sqrt(len(everything))
    assert found.mean == pytest.approx(everything.mean(), abs=1e-6)
    assert found.high - found.mean == pytest.approx(half, rel=1e-6, abs=1e-3)


@pytest.mark.parametrize(
    ("cents", "gate"),
    [
        ([10_000.0 + number for number in range(40)], Gate.WORSE),
        ([-10_000.0 - number for number in range(40)], Gate.NOT_WORSE),
        ([10_000.0 * (-1) ** number for number in range(40)], Gate.CANNOT_TELL),
        ([10_000.0] * 19, Gate.CANNOT_TELL),
    ],
)
def test_the_gate_says_what_the_interval_allows(cents, gate):
    found = paired_by_card(np.array(cents), 1.0, 100)
    assert gate_of(found, loss_of_a=1_000.0) is gate
