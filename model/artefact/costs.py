"""Expected cost of each action, the one formula of training and serving. Pure.

After Elkan (2001) and Bahnsen et al. (2014): each action's cost depends on a transaction's label and amount.
The costs derive from the consequences of decisions (`producers.labels.consequences`), so that what a policy
expects is what the world does.
"""

import math
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

import numpy as np

from fraudsim.arrays import Doubles, Flags, Ints
from fraudsim.errors import FraudsimError
from producers.labels.consequences import Consequences

_DIGITS: Final = 12


def derived_costs(rules: Consequences) -> dict[str, float]:
    """The fields of `Costs` that follow from the consequences.

    A step-up passes the frauds whose victim answers and is deceived, and loses the honest customers who do
    not answer or say no by mistake. A review that holds the payment passes the frauds that the analyst
    clears and loses the honest customers that the analyst takes for fraudsters; this assumes a desk that
    gives its verdict before the hold ends. Where nothing can be held, a review lets every payment through.

    What a block saves or costs later is no part of it: that depends on the payments that would follow.
    """
    holding = rules.hold_ms > 0
    costs = {
        "review_cost_cents": rules.review_cost_cents,
        "review_misses": rules.review_misses if holding else 1.0,
        "step_up_cost_cents": rules.step_up_cost_cents,
        "step_up_insult_share": 1 - rules.step_up_answered * (1 - rules.step_up_slips),
        "step_up_misses": rules.step_up_answered * rules.step_up_fooled,
        "insult_cost_cents": rules.insult_fixed_cents,
        "insult_amount_share": rules.insult_amount_share,
        "review_insult_share": rules.review_false_alarms if holding else 0.0,
        "hold_cost_cents": rules.hold_cost_cents if holding else 0.0,
        "unheld_review_misses": 1.0,
    }
    return {name: round(value, _DIGITS) for name, value in costs.items()}


_DEFAULTS: Final = derived_costs(Consequences())


@dataclass(frozen=True)
class Costs:
    """Costs of actions, in cents or shares. The defaults follow from the default consequences.

    Raises:
        FraudsimError: a cost is negative or not a number, or a share exceeds 1; the message names it.
    """

    review_cost_cents: float = _DEFAULTS["review_cost_cents"]
    """A few minutes of an analyst."""
    review_misses: float = _DEFAULTS["review_misses"]
    """Share of frauds that a review lets pass where it holds the payment."""
    step_up_cost_cents: float = _DEFAULTS["step_up_cost_cents"]
    """A one-time password, and its friction."""
    step_up_insult_share: float = _DEFAULTS["step_up_insult_share"]
    """Share of honest customers whose payment a challenge stops; each costs as much as a wrong decline."""
    step_up_misses: float = _DEFAULTS["step_up_misses"]
    """Share of frauds that pass the challenge (phished or intercepted)."""
    insult_cost_cents: float = _DEFAULTS["insult_cost_cents"]
    """Fixed cost of declining an honest transaction."""
    insult_amount_share: float = _DEFAULTS["insult_amount_share"]
    """Cost of declining an honest transaction, as a share of its amount."""
    review_insult_share: float = _DEFAULTS["review_insult_share"]
    """Share of honest payments that a review holds and then stops by mistake."""
    hold_cost_cents: float = _DEFAULTS["hold_cost_cents"]
    """Cost of holding an honest payment."""
    unheld_review_misses: float = _DEFAULTS["unheld_review_misses"]
    """Share of frauds that a review lets pass where it cannot hold the payment."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            highest = math.inf if name.endswith("_cents") else 1.0
            if not (0 <= value <= highest and math.isfinite(value)):
                raise FraudsimError(f"costs: {name}={value!r} must be between 0 and {highest:g}")

    @classmethod
    def of(cls, rules: Consequences) -> "Costs":
        """The costs that follow from the consequences of a world."""
        return cls(**derived_costs(rules))


class Stakes(NamedTuple):
    """Labelled transactions, as far as the cost of an action depends on them; arrays of shape (n,)."""

    amount_cents: Ints
    is_fraud: Flags
    can_hold: Flags
    """Whether a review can hold the payment: the card is not present."""

    def take(self, rows: Ints | Flags) -> "Stakes":
        """Some of them."""
        return Stakes(self.amount_cents[rows], self.is_fraud[rows], self.can_hold[rows])


Amount = TypeVar("Amount", float, Doubles)
PerAction = tuple[Amount, Amount, Amount, Amount]
"""One value each for approve, step_up, review, decline."""


def expected_costs(
    amount_cents: Amount, probability: Amount, can_hold: Amount, costs: Costs
) -> PerAction[Amount]:
    """Expected cost of each action, cents: of one transaction, or of many where all are arrays of floats.

    With p the probability of fraud, A the amount and I = insult_cost + insult_amount_share · A the cost of a
    wrong decline:

        approve   p·A
        step_up   step_up_cost + p·step_up_misses·A + (1 - p)·step_up_insult_share·I
        review    review_cost + p·review_misses·A + (1 - p)·(review_insult_share·I + hold_cost)
                  where it holds the payment, else review_cost + p·unheld_review_misses·A
        decline   (1 - p)·I

    Args:
        can_hold: 1 where a review holds the payment (the card is not present), else 0.
    """
    honest = 1.0 - probability
    at_stake = probability * amount_cents
    insult = honest * (costs.insult_cost_cents + costs.insult_amount_share * amount_cents)
    review_misses = can_hold * costs.review_misses + (1.0 - can_hold) * costs.unheld_review_misses
    return (
        at_stake,
        costs.step_up_cost_cents + costs.step_up_misses * at_stake + costs.step_up_insult_share * insult,
        costs.review_cost_cents
        + review_misses * at_stake
        + can_hold * (costs.review_insult_share * insult + honest * costs.hold_cost_cents),
        insult,
    )


def costs_of_actions(stakes: Stakes, costs: Costs) -> Doubles:
    """Cost of approve, step_up, review, decline for each transaction of known label, cents, shape (4, n)."""
    amount_cents, is_fraud, can_hold = (column.astype(np.float64) for column in stakes)
    return np.stack(expected_costs(amount_cents, is_fraud, can_hold, costs))


def decision_costs(probabilities: Doubles, stakes: Stakes, costs: Costs) -> Doubles:
    """What the cheapest action by a model's probabilities comes to with the labels as known, cents, (n,)."""
    amount_cents, can_hold = (part.astype(np.float64) for part in (stakes.amount_cents, stakes.can_hold))
    action = np.stack(expected_costs(amount_cents, probabilities, can_hold, costs)).argmin(axis=0)
    chosen: Doubles = costs_of_actions(stakes, costs)[action, np.arange(len(action))]
    return chosen
