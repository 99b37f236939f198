"""The treatments of imbalance that are compared, each with one interface: rows in, scores out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from fraudsim.arrays import Flags, Floats
from model.forest.fit import SHIPPED, fit_trees, scores_of
from model.treatments.focal import focal_base, focal_objective
from model.treatments.undersampling import balancing_beta, population_probability, undersampled_rows

Scorer = Callable[[Floats], Floats]
"""Scores in [0, 1] of rows of float32 (n, SIZE); shape (n,)."""
GAMMA: Final = 2.0
"""The focal loss's, as its authors recommend."""
SAMPLED_HONEST: Final = 20_000


@dataclass(frozen=True)
class Treatment:
    """A way to train on few frauds among many honest transactions."""

    name: str
    fit: Callable[[Floats, Flags, int], Scorer]
    """From features (n, SIZE), known frauds (n,) and a seed."""


def _scorer(ubj: bytes) -> Scorer:
    return lambda features: scores_of(ubj, features)


def _plain(features: Floats, is_fraud: Flags, seed: int) -> Scorer:
    return _scorer(fit_trees(features, is_fraud, seed, honest_rows=len(is_fraud)))


def _honest_sampling(features: Floats, is_fraud: Flags, seed: int) -> Scorer:
    return _scorer(fit_trees(features, is_fraud, seed, honest_rows=SAMPLED_HONEST))


def _weighted(power: float) -> Callable[[Floats, Flags, int], Scorer]:
    def fit(features: Floats, is_fraud: Flags, seed: int) -> Scorer:
        ratio = float((~is_fraud).sum()) / max(1, int(is_fraud.sum()))
        weight = ratio**power
        # Boosting must start at the rate of the weighted rows. From the rate of the rows themselves a fraud's
        # gradient is its weight and its curvature near 0, so that the first Newton steps overshoot.
        base = weighted_rate(float(is_fraud.mean()), weight)
        return _boosted(features, is_fraud, seed, {"scale_pos_weight": weight, "base_score": base})

    return fit


def weighted_rate(fraud_rate: float, weight: float) -> float:
    """The rate of frauds if each counts as `weight` honest transactions."""
    return weight * fraud_rate / (weight * fraud_rate + 1 - fraud_rate)


def _undersampled(*, corrected: bool) -> Callable[[Floats, Flags, int], Scorer]:
    def fit(features: Floats, is_fraud: Flags, seed: int) -> Scorer:
        beta = balancing_beta(is_fraud)
        rows = undersampled_rows(is_fraud, beta, seed)
        raw = _scorer(fit_trees(features[rows], is_fraud[rows], seed, honest_rows=len(rows)))
        return (lambda matrix: population_probability(raw(matrix), beta)) if corrected else raw

    return fit


def _focal(features: Floats, is_fraud: Flags, seed: int) -> Scorer:
    rate = float(is_fraud.mean())
    start = {"base_score": focal_base(GAMMA, rate)}
    return _boosted(features, is_fraud, seed, start, focal_objective(GAMMA, rate))


def _boosted(
    features: Floats, is_fraud: Flags, seed: int, extra: dict[str, Any], objective: Any = None
) -> Scorer:
    """The shipped parameters with other settings, on all rows."""
    import xgboost

    chosen = {**SHIPPED.of_xgboost(), "seed": seed % 2**31, "base_score": float(is_fraud.mean()), **extra}
    data = xgboost.QuantileDMatrix(features, label=is_fraud, max_bin=SHIPPED.max_bin, nthread=1)
    booster = xgboost.train(chosen, data, SHIPPED.trees, obj=objective)
    return _scorer(bytes(booster.save_raw("ubj")))


TREATMENTS: Final = (
    Treatment("none: logistic loss, all rows", _plain),
    Treatment(f"honest rows sampled to {SAMPLED_HONEST:,}, weighted back", _honest_sampling),
    Treatment("class weights", _weighted(1.0)),
    Treatment("roots of the class weights", _weighted(0.5)),
    Treatment(f"focal loss, gamma {GAMMA:g}", _focal),
    Treatment("undersampling to 10 honest for a fraud", _undersampled(corrected=False)),
    Treatment("undersampling, corrected for the population", _undersampled(corrected=True)),
)
"""The first is what the others are compared with."""


def mean_of(scores: Floats) -> float:
    """The mean score, in double precision."""
    return float(np.mean(scores, dtype=np.float64))
