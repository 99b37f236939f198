"""Expected cost of each action for one transaction, and where the cheapest action changes. Pure.

With p the probability of fraud, A the amount and I = insult_cost + insult_amount_share · A the cost of a
wrong decline, after Elkan (2001) and Bahnsen et al. (2014), in cents:

    approve   p·A
    step_up   step_up_cost + p·step_up_misses·A + (1 - p)·step_up_insult_share·I
    review    review_cost + p·review_misses·A
    decline   (1 - p)·I

This is `costs_of_actions` of training weighted by p, in scalars: arrays are too slow for a single decision.
"""

from model.artefact.thresholds import Costs

PerAction = tuple[float, float, float, float]
"""One value each for approve, step_up, review, decline."""


def expected_costs(amount_cents: int, probability: float, costs: Costs) -> PerAction:
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
    """(probability, action) from which on an action costs least at this amount, ascending.

    Costs are linear in the probability, so this is the lower envelope of four lines. An action that is never
    cheapest is left out.
    """
    at_0, at_1 = expected_costs(amount_cents, 0.0, costs), expected_costs(amount_cents, 1.0, costs)
    action = min(range(4), key=at_0.__getitem__)
    start, envelope = 0.0, [(0.0, action)]
    while True:
        slope = at_1[action] - at_0[action]
        crossings = [
            (max(start, (at_0[other] - at_0[action]) / (slope - other_slope)), other_slope, other)
            for other in range(4)
            if (other_slope := at_1[other] - at_0[other]) < slope
        ]
        if not crossings or min(crossings)[0] > 1:
            return envelope
        start, _, action = min(crossings)
        envelope.append((start, action))
