"""How far a policy's costs are from those that follow from the consequences of the world it serves. Pure."""

from collections.abc import Iterator
from typing import Final

from model.artefact.costs import Costs
from scorer.policy.policy import ByExpectedCost, Policy

SAME: Final = 1e-9
"""Costs that differ by less are equal."""


def differing_costs(policy: Policy, world: Costs) -> dict[str, tuple[float, float]]:
    """By name, the costs in which a policy differs from the world: (the policy's, the world's)."""
    act_by = policy.act_by["champion"]
    if not isinstance(act_by, ByExpectedCost):
        return {}
    own, due = vars(act_by.costs), vars(world)
    return {name: (own[name], due[name]) for name in own if abs(own[name] - due[name]) > SAME}


def cost_lines(policy: Policy, world: Costs) -> Iterator[str]:
    """What `policy check` says of it."""
    if not isinstance(policy.act_by["champion"], ByExpectedCost):
        yield "  costs: none; it acts by thresholds"
        return
    differences = differing_costs(policy, world)
    if not differences:
        yield "  costs: those that follow from the consequences (FRAUDSIM_CONSEQUENCES__…)"
        return
    yield f"  costs: {len(differences)} of {len(vars(world))} are not those of the consequences it serves"
    for name, (own, due) in differences.items():
        times = f", {own / due:.3g} times" if due else ""
        yield f"    {name} {own:g}, by the consequences {due:g}{times}"
