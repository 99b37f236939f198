import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudsim.errors import FraudsimError
from model.artefact.costs import Costs, Stakes, costs_of_actions
from model.artefact.thresholds import NEVER, Thresholds, choose_thresholds, total_cost
from producers.labels.consequences import Consequences

row = st.tuples(
    st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.9, 1.0]), st.integers(0, 100_000), st.booleans(), st.booleans()
)
share = st.floats(0, 1)
cents = st.floats(0, 5_000)
costs_strategy = st.builds(Costs, cents, share, cents, share, share, cents, share, share, cents, share)


def arrays(rows):
    stakes = Stakes(
        np.array([r[1] for r in rows], np.int64),
        np.array([r[2] for r in rows], np.bool_),
        np.array([r[3] for r in rows], np.bool_),
    )
    return np.array([r[0] for r in rows], np.float32), stakes


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
    data = arrays([(0.1, 100, False, True), (0.9, 100, False, True)])
    assert choose_thresholds(*data, Costs()) == Thresholds(NEVER, NEVER, NEVER)


def test_a_clear_fraud_is_declined_and_a_clear_honest_one_approved():
    chosen = choose_thresholds(*arrays([(0.1, 50_000, False, True), (0.9, 50_000, True, True)]), Costs())
    assert chosen.decline == pytest.approx(0.5)
    assert chosen.step_up == chosen.review == chosen.decline


def test_dearer_reviews_leave_less_to_review():
    rng = np.random.default_rng(1)
    scores = rng.random(3000)
    held = np.ones(3000, np.bool_)
    data = (scores, Stakes(np.full(3000, 20_000), rng.random(3000) < scores**3, held))
    reviewed = []
    for cost in (10.0, 1_000.0, 5_000.0):
        chosen = choose_thresholds(*data, Costs(review_cost_cents=cost, step_up_misses=0.25))
        reviewed.append(int(((scores >= chosen.review) & (scores < chosen.decline)).sum()))
    assert reviewed[0] > reviewed[1] > reviewed[2]


def test_what_each_action_costs():
    costs = Costs(
        review_cost_cents=400, review_misses=0.1, step_up_cost_cents=10, step_up_insult_share=0.2,
        step_up_misses=0.5, insult_cost_cents=500, insult_amount_share=0.1, review_insult_share=0.05,
        hold_cost_cents=20, unheld_review_misses=0.9,
    )  # fmt: skip
    fraud, held = np.array([True, False] * 2), np.array([True, True, False, False])
    table = costs_of_actions(Stakes(np.full(4, 1000), fraud, held), costs)
    assert table.tolist() == [
        [1000, 0, 1000, 0],
        [510, 130, 510, 130],
        [500, 450, 1300, 400],
        [0, 600, 0, 600],
    ]


def test_costs_follow_from_the_consequences_by_the_stated_formulas():
    rules = Consequences(
        step_up_answered=0.8, step_up_fooled=0.1, step_up_slips=0.05, review_minutes=15, review_misses=0.2,
        review_false_alarms=0.03, hold_cost_cents=70, analyst_hour_cents=3_000, step_up_cost_cents=20,
        honest_retries=0.4, honest_leaves=0.01, leaver_cents=20_000, lost_sale_share=0.5,
    )  # fmt: skip
    assert vars(Costs.of(rules)) == pytest.approx(
        {
            "review_cost_cents": 750,
            "review_misses": 0.2,
            "step_up_cost_cents": 20,
            "step_up_insult_share": 0.24,
            "step_up_misses": 0.08,
            "insult_cost_cents": 200,
            "insult_amount_share": 0.3,
            "review_insult_share": 0.03,
            "hold_cost_cents": 70,
            "unheld_review_misses": 1,
        }
    )
    without_holds = Costs.of(Consequences(hold_hours=0))
    assert (without_holds.review_misses, without_holds.review_insult_share) == (1, 0)
    assert Costs() == Costs.of(Consequences())


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
