"""The first stage of a cascade: a logistic regression that finds the surely honest transactions. Pure.

The features are heavy-tailed amounts, counts and times, so each enters as log(1 + x), standardised. A missing
one enters as its mean, with a weight of its own for being missing. Mean and deviation are included in the
weights.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numba import njit

from fraudsim.arrays import Doubles, Flags, Floats
from model.artefact.costs import Costs, Stakes, costs_of_actions
from model.artefact.thresholds import Thresholds
from model.forest.fit import sample_honest

HONEST_ROWS: Final = 20_000
"""Most honest transactions that are trained on; some 130 weights need no more."""
ITERATIONS: Final = 100
DIGITS: Final = 6
"""Significant digits of the weights, so that fits which differ in the last bits give the same model."""


@dataclass(frozen=True, eq=False)
class FirstStage:
    """margin = bias + Σ (weight · log(1 + x), or `missing` where x is missing)."""

    weight: Doubles
    """(SIZE,)."""
    missing: Doubles
    """(SIZE,)."""
    bias: float

    @classmethod
    def of(cls, weight: Sequence[float], missing: Sequence[float], bias: float) -> "FirstStage":
        return cls(np.array(weight, np.float64), np.array(missing, np.float64), float(bias))

    def scores(self, rows: Floats) -> Floats:
        """Probability of fraud of each row of float32 (n, SIZE); shape (n,), float32."""
        return _scores(rows, self.weight, self.missing, self.bias)


def fit_first_stage(features: Floats, is_fraud: Flags, seed: int) -> FirstStage:
    """A fit by maximum likelihood with scikit-learn's default penalty; its scores are probabilities."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    rows, row_weight = sample_honest(is_fraud, HONEST_ROWS, seed)
    logs = np.log1p(np.maximum(features[rows].astype(np.float64), 0))
    missing = np.isnan(logs)
    present = (~missing).sum(axis=0).clip(1)
    logs[missing] = 0
    mean = logs.sum(axis=0) / present
    deviation = np.sqrt((np.where(missing, 0, logs - mean) ** 2).sum(axis=0) / present)
    deviation[deviation < 1e-9] = 1  # a constant or always missing feature; its deviation is rounding
    standard = np.where(missing, 0, (logs - mean) / deviation)
    with warnings.catch_warnings(), threadpool_limits(1):  # the same bits on any number of cores
        warnings.simplefilter("ignore", ConvergenceWarning)  # an approximate fit suffices
        fitted = LogisticRegression(max_iter=ITERATIONS).fit(
            np.hstack([standard, missing]), is_fraud[rows], sample_weight=row_weight
        )
    slope, indicator = np.split(fitted.coef_[0], 2)
    weight = slope / deviation
    return FirstStage.of(
        _rounded(weight),
        _rounded(indicator + weight * mean),
        _rounded(fitted.intercept_ - (weight * mean).sum())[0],
    )


def choose_limit(
    first_scores: npt.NDArray[Any],
    full_scores: npt.NDArray[Any],
    stakes: Stakes,
    costs: Costs,
    thresholds: Thresholds,
    loss: float,
) -> float:
    """The first stage's score below which it approves by itself, chosen on labelled transactions.

    The highest limit up to `thresholds.step_up` with which the decisions cost at most `loss` (a share) more
    than those by the full model's scores. 0 if there is none: then the first stage decides nothing.
    """
    first_scores = np.asarray(first_scores, np.float64)
    cuts = np.array([thresholds.step_up, thresholds.review, thresholds.decline])
    action = np.searchsorted(cuts, np.asarray(full_scores, np.float64), side="right")
    table = costs_of_actions(stakes, costs)
    full_cost = table[action, np.arange(len(action))]
    order = np.argsort(first_scores, kind="stable")
    extra_cost = np.cumsum((table[0] - full_cost)[order])
    ascending = first_scores[order]
    # A limit equals the score of the first row not below it, and is only possible between different scores.
    possible = (
        (np.diff(ascending) > 0)
        & (extra_cost[:-1] <= loss * full_cost.sum())
        & (ascending[1:] <= thresholds.step_up)
    )
    rows_below = np.flatnonzero(possible)
    return float(ascending[rows_below[-1] + 1]) if rows_below.size else 0.0


def compile_first_stage() -> None:
    """Run the first stage once, so that its machine code is in the cache."""
    FirstStage.of([0.0], [0.0], 0.0).scores(np.zeros((1, 1), np.float32))


def _rounded(values: Doubles) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in values]


@njit(cache=True)
def _scores(rows: Floats, weight: Doubles, missing: Doubles, bias: float) -> Floats:
    scores = np.empty(rows.shape[0], np.float32)
    for r in range(rows.shape[0]):
        margin = bias
        for i in range(rows.shape[1]):
            value = rows[r, i]
            if math.isnan(value):
                margin += missing[i]
            elif value > 0:
                margin += weight[i] * math.log1p(value)
        scores[r] = 1 / (1 + math.exp(-margin))
    return scores
