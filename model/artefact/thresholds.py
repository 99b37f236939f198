"""Expected cost of each action, the one formula of training and serving; score cut-offs by it. Pure.

Cost-sensitive thresholds after Elkan (2001) and Bahnsen et al. (2014): each action's cost depends on the
transaction's label and amount; the cut-offs are those of least total cost on labelled transactions. They
apply to scores, which need not be calibrated.
"""

import math
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from fraudsim.arrays import Doubles, Flags, Ints
from fraudsim.errors import FraudsimError

NEVER: Final = 1.0
"""A cut-off that no score below 1 reaches."""


@dataclass(frozen=True)
class Costs:
    """Costs of actions, in cents or shares. The defaults are assumptions; replace them by your own figures.

    Raises:
        FraudsimError: a cost is negative or not a number, or a share exceeds 1; the message names it.
    """

    review_cost_cents: float = 400.0
    """A few minutes of an analyst."""
    review_misses: float = 0.08
    """Share of frauds that review lets pass."""
    step_up_cost_cents: float = 10.0
    """A one-time password, and its friction."""
    step_up_insult_share: float = 0.08
    """Share of honest customers who give up when challenged; each costs as much as a wrong decline."""
    step_up_misses: float = 0.25
    """Share of frauds that pass the challenge (phished or intercepted)."""
    insult_cost_cents: float = 500.0
    """Fixed cost of declining an honest transaction."""
    insult_amount_share: float = 0.10
    """Cost of declining an honest transaction, as a share of its amount."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            highest = math.inf if name.endswith("_cents") else 1.0
            if not (0 <= value <= highest and math.isfinite(value)):
                raise FraudsimError(f"costs: {name}={value!r} must be between 0 and {highest:g}")


@dataclass(frozen=True)
class Thresholds:
    """A score at or above a cut-off gets at least that action; equal cut-offs leave the milder one out.

    Raises:
        FraudsimError: they do not satisfy 0 <= step_up <= review <= decline <= 1.
    """

    step_up: float
    review: float
    decline: float

    def __post_init__(self) -> None:
        if not 0 <= self.step_up <= self.review <= self.decline <= 1:
            raise FraudsimError(f"thresholds: {self} must satisfy 0 <= step_up <= review <= decline <= 1")


Amount = TypeVar("Amount", float, Doubles)
PerAction = tuple[Amount, Amount, Amount, Amount]
"""One value each for approve, step_up, review, decline."""


def expected_costs(amount_cents: Amount, probability: Amount, costs: Costs) -> PerAction[Amount]:
    """Expected cost of each action, cents: of one transaction, or of many where both are arrays of floats.

    With p the probability of fraud, A the amount and I = insult_cost + insult_amount_share · A the cost of a
    wrong decline:

        approve   p·A
        step_up   step_up_cost + p·step_up_misses·A + (1 - p)·step_up_insult_share·I
        review    review_cost + p·review_misses·A
        decline   (1 - p)·I
    """
    at_stake = probability * amount_cents
    insult = (1.0 - probability) * (costs.insult_cost_cents + costs.insult_amount_share * amount_cents)
    return (
        at_stake,
        costs.step_up_cost_cents + costs.step_up_misses * at_stake + costs.step_up_insult_share * insult,
        costs.review_cost_cents + costs.review_misses * at_stake,
        insult,
    )


def costs_of_actions(amount_cents: Ints, is_fraud: Flags, costs: Costs) -> Doubles:
    """Cost of approve, step_up, review, decline for each transaction of known label, cents, shape (4, n)."""
    return np.stack(expected_costs(amount_cents.astype(np.float64), is_fraud.astype(np.float64), costs))


def total_cost(
    scores: npt.NDArray[Any], amount_cents: Ints, is_fraud: Flags, costs: Costs, thresholds: Thresholds
) -> float:
    """Cost in cents of acting by `thresholds`."""
    cuts = np.array([thresholds.step_up, thresholds.review, thresholds.decline])
    action = np.searchsorted(cuts, np.asarray(scores, np.float64), side="right")
    table = costs_of_actions(amount_cents, is_fraud, costs)
    return float(table[action, np.arange(len(action))].sum())


def choose_thresholds(
    scores: npt.NDArray[Any], amount_cents: Ints, is_fraud: Flags, costs: Costs
) -> Thresholds:
    """The cut-offs of least total cost on these transactions, exactly, in O(n log n).

    Scores are in [0, 1]. In order of score, the transactions that are approved, stepped up, reviewed and
    declined are four consecutive segments; the best end of each segment follows from the best end of the one
    before. Ties go to the higher cut-off: the milder action.
    """
    scores = np.asarray(scores, np.float64)
    order = np.argsort(scores, kind="stable")
    ascending = scores[order]
    table = costs_of_actions(amount_cents[order], is_fraud[order], costs)
    before = np.concatenate([np.zeros((4, 1)), np.cumsum(table, axis=1)], axis=1)
    # A cut may be before the first row, between different scores, and above all scores below 1.
    cut_rows = np.concatenate([[0], np.flatnonzero(np.diff(ascending)) + 1])
    if not len(ascending) or ascending[-1] < NEVER:
        cut_rows = np.append(cut_rows, len(ascending))
    best = before[0, cut_rows]
    origins = []
    for action in (1, 2, 3):
        change = best - before[action, cut_rows]
        origins.append(_last_argmin(change))
        best = change[origins[-1]] + before[action, cut_rows]
    cut = len(cut_rows) - 1
    cuts = []
    for origin in reversed(origins):
        cut = int(origin[cut])
        cuts.append(_cut_value(ascending, int(cut_rows[cut])))
    decline, review, step_up = cuts
    return Thresholds(step_up=step_up, review=review, decline=decline)


def _last_argmin(values: Doubles) -> Ints:
    """Per i, the last index of the minimum of `values[: i + 1]`."""
    least = np.minimum.accumulate(values)
    return np.maximum.accumulate(np.where(values <= least, np.arange(len(values)), 0))


def _cut_value(ascending: Doubles, row: int) -> float:
    """A cut-off that splits the sorted scores before a row."""
    if row == len(ascending):
        return NEVER
    if row == 0:
        return 0.0
    below, above = float(ascending[row - 1]), float(ascending[row])
    middle = below + (above - below) / 2
    return middle if middle > below else above
