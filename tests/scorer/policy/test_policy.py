"""The policy: least expected cost, rules, limits, exploration by a known share."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from fraudsim.log.events import ACTIONS, Block, Transaction
from model.artefact.costs import Costs, Stakes, costs_of_actions, expected_costs
from model.artefact.thresholds import Thresholds
from scorer.policy.costs import cut_offs
from scorer.policy.file import POLICY_FILE, SHIPPED, load_policy
from scorer.policy.policy import ByExpectedCost, ByThresholds, Exploration, Limits, Policy
from scorer.policy.rules import Hit, RuleError, RuleInput
from stream_features.catalogue.features import NAMES
from stream_features.vector import SIZE

TRAINED = Thresholds(0.1, 0.2, 0.3)
COSTS = Costs()
RULES = load_policy(SHIPPED).rules
BLOCK = Block(tx_id="reported", source="customer", from_ms=0, until_ms=9)
THRESHOLDS = ByThresholds()


def policy(act_by=THRESHOLDS, limits=None, exploration=None, rules=RULES):
    by = {"champion": act_by, "fallback": act_by}
    return Policy("p-1", by, limits or Limits(), exploration or Exploration(), rules)


def transaction(n=0, amount=10_000, channel="pos"):
    return Transaction(tx_id=f"t{n}", ts=0, card_id="c", amount_cents=amount, channel=channel)


def features(**known):
    found = np.full(SIZE, np.nan, np.float32)
    for name, value in known.items():
        found[NAMES.index(name)] = value
    return found


def assessment(broken_policy, score, n=0, amount=10_000, block=None, channel="pos", **known):
    tx = transaction(n, amount, channel)
    return tx, broken_policy.assess(
        RuleInput(tx, features(**known), score, score), "champion", TRAINED, None, block
    )


def choice(broken_policy, score, n=0, amount=10_000, **known):
    return broken_policy.choose(*assessment(broken_policy, score, n, amount, **known))


def test_training_and_serving_weigh_a_transaction_to_the_same_bit():
    rng = np.random.default_rng(1)
    costs = Costs(*(float(v) for v in rng.uniform(0, 1, len(vars(COSTS)))))
    amounts, probabilities = rng.integers(0, 10**6, 50), rng.random(50)
    can_hold = rng.random(50) < 0.5
    of_many = np.stack(expected_costs(amounts.astype(float), probabilities, can_hold.astype(float), costs)).T
    stakes = Stakes(np.repeat(amounts, 2), np.array([False, True] * 50), np.repeat(can_hold, 2))
    known = costs_of_actions(stakes, costs).T
    for n, (amount, p) in enumerate(zip(amounts.tolist(), probabilities.tolist(), strict=True)):
        held = float(can_hold[n])
        one = expected_costs(amount, p, held, costs)
        assert one == tuple(of_many[n])
        assert expected_costs(amount, 0.0, held, costs) == tuple(known[2 * n])
        assert expected_costs(amount, 1.0, held, costs) == tuple(known[2 * n + 1])
        assert one == pytest.approx((1 - p) * known[2 * n] + p * known[2 * n + 1])


def test_the_shipped_policy_has_the_costs_that_training_chooses_cut_offs_by():
    spec = json.loads((SHIPPED / POLICY_FILE).read_text())["act_by"]
    assert spec["costs"] == vars(Costs())
    assert load_policy(SHIPPED).act_by["champion"] == ByExpectedCost(Costs())


@pytest.mark.parametrize("can_hold", [False, True])
@pytest.mark.parametrize("amount", [0, 1, 99, 1_000, 20_000, 3_000_000])
def test_the_cut_offs_of_an_amount_are_where_the_least_cost_changes(amount, can_hold):
    found = cut_offs(amount, can_hold, COSTS)
    for p in np.linspace(0, 1, 2_001).tolist():
        costs = expected_costs(amount, p, float(can_hold), COSTS)
        due = [action for at, action in found if at <= p][-1]
        assert costs[due] == pytest.approx(min(costs), abs=1e-6)


def test_the_larger_amount_gets_the_stricter_action_at_the_same_probability():
    by_cost = policy(ByExpectedCost(COSTS))

    def action(amount, channel):
        return choice(by_cost, 0.03, amount=amount, channel=channel).action

    amounts = (500, 20_000, 200_000)
    assert [action(a, "ecommerce") for a in amounts] == ["approve", "step_up", "review"]
    assert [action(a, "pos") for a in amounts] == ["approve", "step_up", "step_up"]


def test_a_blocked_card_is_declined_whatever_the_amount_the_limits_and_the_exploration():
    strict = policy(
        limits=Limits(reviews_per_day=0, decline_from_cents=5_000, declined_share_of_day=0.0),
        exploration=Exploration(0.5, "s", 20_000),
    )
    for n in range(20):
        tx, formed = assessment(strict, 0.0, n, amount=100, block=BLOCK, card_count_1m=15)
        assert strict.required_limit(tx, formed) is None
        found = strict.choose(tx, formed)
        assert (found.action, found.held_back, found.weight) == ("decline", [], 1.0)
        assert found.rule_hits == ["card_blocked", "burst_of_one_card"]


def test_thresholds_are_the_trained_ones_unless_the_policy_has_its_own():
    assert [choice(policy(), s).action for s in (0.09, 0.1, 0.2, 0.3)] == list(ACTIONS)
    own = policy(ByThresholds(Thresholds(0.5, 0.6, 0.7)))
    assert [choice(own, s).action for s in (0.3, 0.5, 0.6, 0.7)] == list(ACTIONS)


def test_rules_raise_the_action_and_never_lower_it():
    assert choice(policy(), 0.0, card_count_1m=15).action == "review"
    assert choice(policy(), 0.9, card_count_1m=15).action == "decline"
    both = choice(policy(), 0.02, card_count_1m=20, card_speed=2_000)
    assert (both.action, both.rule_hits) == ("review", ["burst_of_one_card", "impossible_travel"])
    assert choice(policy(), 0.0).rule_hits == []


def test_below_the_bar_nothing_is_flagged_unless_a_rule_asks_for_it():
    limited = policy(limits=Limits(flag_from_probability=0.5))
    assert (choice(limited, 0.49).action, choice(limited, 0.49).held_back) == (
        "approve",
        ["flag_from_probability"],
    )
    assert choice(limited, 0.5).action == choice(policy(), 0.5).action != "approve"
    assert choice(limited, 0.0).held_back == []
    assert choice(limited, 0.0, card_count_1m=15).action == "review"


def test_below_the_amount_nothing_is_declined_and_only_what_would_have_been_says_so():
    limited = policy(limits=Limits(decline_from_cents=5_000))
    small = choice(limited, 0.9, amount=4_999)
    assert (small.action, small.held_back) == ("review", ["decline_from_cents"])
    assert choice(limited, 0.9, amount=5_000).action == "decline"
    assert choice(limited, 0.15, amount=4_999).held_back == []


def test_without_quota_the_next_best_is_preferred_and_a_rule_s_review_becomes_a_step_up_at_least():
    limited = policy(limits=Limits(reviews_per_day=0))
    tx, undecided = assessment(limited, 0.25)
    assert limited.required_limit(tx, undecided) == "review"
    undecided.exclude(2, "reviews_per_day")
    assert limited.choose(tx, undecided).action == "step_up"  # by thresholds the milder one
    by_cost = policy(ByExpectedCost(COSTS), Limits(reviews_per_day=0))
    tx, undecided = assessment(by_cost, 0.4, amount=50_000)
    undecided.exclude(2, "reviews_per_day")
    left = expected_costs(50_000, 0.4, 0.0, COSTS)
    assert by_cost.choose(tx, undecided).action == ACTIONS[min((0, 1, 3), key=left.__getitem__)]
    tx, ordered = assessment(limited, 0.0, card_count_1m=15)
    ordered.exclude(2, "reviews_per_day")
    ordered.exclude(3, "declined_share_of_day")
    found = limited.choose(tx, ordered)
    assert (found.action, found.held_back) == ("step_up", ["reviews_per_day", "declined_share_of_day"])


def test_exploration_takes_its_share_of_the_declines_by_tx_id_and_weights_make_up_for_it():
    exploring = policy(exploration=Exploration(0.1, "s", 20_000))
    choices = [choice(exploring, 0.9, n) for n in range(5_000)]
    through = [c for c in choices if c.action == "approve"]
    assert 0.08 < len(through) / len(choices) < 0.12
    assert {(c.action, tuple(c.held_back), round(c.weight, 9)) for c in choices} == {
        ("approve", ("exploration",), 10.0),
        ("decline", (), round(1 / 0.9, 9)),
    }
    assert sum(c.weight for c in through) == pytest.approx(len(choices), rel=0.2)
    assert choices[:50] == [choice(exploring, 0.9, n) for n in range(50)]
    salted = policy(exploration=Exploration(0.1, "another", 20_000))
    assert choices != [choice(salted, 0.9, n) for n in range(5_000)]


def test_exploration_leaves_alone_what_is_no_decline_of_the_score_or_too_large():
    exploring = policy(exploration=Exploration(0.5, "s", 20_000))
    for found in [choice(exploring, 0.25, n) for n in range(50)]:
        assert (found.action, found.weight) == ("review", 1.0)
    for found in [choice(exploring, 0.9, n, amount=20_001) for n in range(50)]:
        assert (found.action, found.weight) == ("decline", 1.0)


def test_where_a_rule_hits_nothing_is_explored():
    for action in ("decline", "step_up"):
        order = SimpleNamespace(
            name="x", may_hit=lambda _: True, hits=lambda _, a=action: [Hit("watched", a)]
        )
        exploring = policy(exploration=Exploration(0.5, "s", 20_000), rules=[order])
        for found in [choice(exploring, 0.9, n) for n in range(50)]:
            assert (found.action, found.rule_hits, found.weight) == ("decline", ["watched"], 1.0)


def test_a_rule_file_that_cannot_be_evaluated_hits_nothing_and_is_reported():
    def failing(seen):
        raise RuleError("no")

    broken = SimpleNamespace(name="broken", may_hit=lambda _: True, hits=failing)
    rule_errors, broken_policy = [], policy(rules=[broken, *RULES])
    tx = transaction()
    formed = broken_policy.assess(
        RuleInput(tx, features(card_count_1m=15), 0.0, 0.0), "champion", TRAINED,
        lambda *what: rule_errors.append(what),
    )  # fmt: skip
    assert broken_policy.choose(tx, formed).rule_hits == ["burst_of_one_card"]
    assert [(file, str(error)) for file, error in rule_errors] == [("broken", "no")]


def test_an_explored_decline_uses_no_quota():
    exploring = policy(limits=Limits(declined_share_of_day=0.1), exploration=Exploration(0.5, "s", 20_000))
    limits = [exploring.required_limit(*assessment(exploring, 0.9, n)) for n in range(200)]
    explored = [choice(exploring, 0.9, n).action == "approve" for n in range(200)]
    assert limits == [None if through else "decline" for through in explored]
    assert len(set(limits)) == 2
