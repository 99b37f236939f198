import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudsim.errors import FraudsimError
from model.artefact.thresholds import (
    NEVER,
    Costs,
    Thresholds,
    choose_thresholds,
    costs_of_actions,
    total_cost,
)

row = st.tuples(st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.9, 1.0]), st.integers(0, 100_000), st.booleans())
share = st.floats(0, 1)
cents = st.floats(0, 5_000)
costs_strategy = st.builds(Costs, cents, share, cents, share, share, cents, share)


def arrays(rows):
    return (
        np.array([r[0] for r in rows], np.float32),
        np.array([r[1] for r in rows], np.int64),
        np.array([r[2] for r in rows], np.bool_),
    )


@given(rows=st.lists(row, max_size=12), costs=costs_strategy)
def test_no_other_cut_offs_cost_less(rows, costs):
    data = arrays(rows)
    chosen = choose_thresholds(*data, costs)
    cuts = [0.0, 0.05, 0.15, 0.3, 0.7, 0.95, 1.0]
    least = min(
        total_cost(*data, costs, Thresholds(*three))
        for three in itertools.combinations_with_replacement(cuts, 3)
    )
    assert total_cost(*data, costs, chosen) == pytest.approx(least, rel=1e-9, abs=1e-6)


@given(rows=st.lists(row, max_size=30), costs=costs_strategy)
def test_cut_offs_rise_from_step_up_to_decline(rows, costs):
    chosen = choose_thresholds(*arrays(rows), costs)
    assert 0 <= chosen.step_up <= chosen.review <= chosen.decline <= 1


def test_without_fraud_everything_is_approved():
    data = arrays([(0.1, 100, False), (0.9, 100, False)])
    assert choose_thresholds(*data, Costs()) == Thresholds(NEVER, NEVER, NEVER)


def test_a_clear_fraud_is_declined_and_a_clear_honest_one_approved():
    chosen = choose_thresholds(*arrays([(0.1, 50_000, False), (0.9, 50_000, True)]), Costs())
    assert chosen.decline == pytest.approx(0.5)
    assert chosen.step_up == chosen.review == chosen.decline


def test_dearer_reviews_leave_less_to_review():
    rng = np.random.default_rng(1)
    scores = rng.random(3000)
    data = (scores, np.full(3000, 20_000), rng.random(3000) < scores**3)
    reviewed = []
    for cost in (10.0, 1_000.0, 5_000.0):
        chosen = choose_thresholds(*data, Costs(review_cost_cents=cost))
        reviewed.append(int(((scores >= chosen.review) & (scores < chosen.decline)).sum()))
    assert reviewed[0] > reviewed[1] > reviewed[2]


def test_what_each_action_costs():
    costs = Costs(
        review_cost_cents=400, review_misses=0.1, step_up_cost_cents=10, step_up_insult_share=0.2,
        step_up_misses=0.5, insult_cost_cents=500, insult_amount_share=0.1,
    )  # fmt: skip
    table = costs_of_actions(np.array([1000, 1000]), np.array([True, False]), costs)
    assert table.tolist() == [[1000, 0], [510, 130], [500, 400], [0, 600]]


@pytest.mark.parametrize(
    "bad", [{"review_misses": 1.1}, {"insult_cost_cents": -1.0}, {"step_up_misses": np.nan}]
)
def test_a_cost_out_of_range_is_named(bad):
    with pytest.raises(FraudsimError, match=next(iter(bad))):
        Costs(**bad)


@pytest.mark.parametrize(
    "bad", [(0.5, 0.4, 0.9), (-0.1, 0.4, 0.9), (0.1, 0.2, 1.1), (0.1, float("nan"), 0.9)]
)
def test_cut_offs_out_of_order_or_range_are_refused(bad):
    with pytest.raises(FraudsimError, match="step_up <= review <= decline"):
        Thresholds(*bad)
