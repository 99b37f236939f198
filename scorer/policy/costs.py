"""What each action is expected to cost for one transaction, and where the least changes. Pure.

With p the probability of fraud, A the amount and I = insult_cost + insult_amount_share · A the cost of a
wrong decline, after Elkan (2001) and Bahnsen et al. (2014), in cents:

    approve   p·A
    step_up   step_up_cost + p·step_up_misses·A + (1 - p)·step_up_insult_share·I
    review    review_cost + p·review_misses·A
    decline   (1 - p)·I

This is `costs_of_actions` of training weighted by p, without arrays: a decision has no time for them.
"""

from model.artefact.thresholds import Costs

Four = tuple[float, float, float, float]
"""One value each for approve, step_up, review, decline."""


def expected_costs(amount_cents: int, probability: float, costs: Costs) -> Four:
    """Expected cost of each action, cents."""
    honest = 1.0 - probability
    at_stake = probability * amount_cents
    insult = honest * (costs.insult_cost_cents + costs.insult_amount_share * amount_cents)
    return (
        at_stake,
        costs.step_up_cost_cents + costs.step_up_misses * at_stake + costs.step_up_insult_share * insult,
        costs.review_cost_cents + costs.review_misses * at_stake,
        insult,
    )


def cut_offs(amount_cents: int, costs: Costs) -> list[tuple[float, int]]:
    """(probability, action) from which on an action is the one of least cost, ascending, for this amount.

    Costs are linear in the probability, so this is the lower envelope of four lines; what never is least is
    left out.
    """
    at_0, at_1 = expected_costs(amount_cents, 0.0, costs), expected_costs(amount_cents, 1.0, costs)
    action = min(range(4), key=at_0.__getitem__)
    start, found = 0.0, [(0.0, action)]
    while True:
        slope = at_1[action] - at_0[action]
        crossings = [
            (max(start, (at_0[other] - at_0[action]) / (slope - steeper)), steeper, other)
            for other in range(4)
            if (steeper := at_1[other] - at_0[other]) < slope
        ]
        if not crossings or min(crossings)[0] > 1:
            return found
        start, _, action = min(crossings)
        found.append((start, action))
