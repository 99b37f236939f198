"""Where the cheapest action changes with the probability of fraud. Pure."""

from model.artefact.costs import Costs, expected_costs


def cut_offs(amount_cents: int, can_hold: bool, costs: Costs) -> list[tuple[float, int]]:
    """(probability, action) from which on an action costs least at this amount, ascending.

    Costs are linear in the probability, so this is the lower envelope of four lines. An action that is never
    cheapest is left out.
    """
    at_0, at_1 = (expected_costs(amount_cents, p, float(can_hold), costs) for p in (0.0, 1.0))
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
