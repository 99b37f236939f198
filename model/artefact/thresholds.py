"""Cut-offs of the score: those of least total cost on labelled transactions. Pure.

They apply to scores, which need not be calibrated.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fraudsim.arrays import Doubles, Ints
from fraudsim.errors import FraudsimError
from model.artefact.costs import Costs, Stakes, costs_of_actions

NEVER: Final = 1.0
"""A cut-off that no score below 1 reaches."""


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


def total_cost(scores: npt.NDArray[Any], stakes: Stakes, costs: Costs, thresholds: Thresholds) -> float:
    """Cost in cents of acting by `thresholds`."""
    cuts = np.array([thresholds.step_up, thresholds.review, thresholds.decline])
    action = np.searchsorted(cuts, np.asarray(scores, np.float64), side="right")
    table = costs_of_actions(stakes, costs)
    return float(table[action, np.arange(len(action))].sum())


def choose_thresholds(scores: npt.NDArray[Any], stakes: Stakes, costs: Costs) -> Thresholds:
    """The cut-offs of least total cost on these transactions, exactly, in O(n log n).

    Scores are in [0, 1]. In order of score, the transactions that are approved, stepped up, reviewed and
    declined are four consecutive segments; the best end of each segment follows from the best end of the one
    before. Ties go to the higher cut-off: the milder action.
    """
    scores = np.asarray(scores, np.float64)
    order = np.argsort(scores, kind="stable")
    ascending = scores[order]
    table = costs_of_actions(stakes.take(order), costs)
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
