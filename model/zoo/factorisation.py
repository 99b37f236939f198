"""Logistic regression with the hashing trick, and a factorisation machine over the same indexes and values.

The machine adds to the linear part the products of the factors of every two active indexes (Rendle,
"Factorization Machines", ICDM 2010), which takes time linear in their number. Both are trained by AdaGrad
(Duchi, Hazan and Singer 2011), one transaction at a time, on the sampled honest rows of the trees.
"""

import math
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit

from fraudsim.arrays import Flags, Floats, Int32s, Ints
from model.forest.fit import sample_honest
from model.zoo.active_indexes import IndexEncoder
from model.zoo.interface import ZooData, ZooModel

HONEST_ROWS: Final = 60_000
EPOCHS: Final = 4
RATE: Final = 0.05
PENALTY: Final = 1e-5
ID_PENALTY: Final = 0.1
"""Of what stands for an id: a few thousand cards and devices are soon learned by heart."""
FACTORS: Final = 8


@dataclass(frozen=True, eq=False)
class FactorisationModel:
    """A linear part and, where `factors` has columns, products of factors."""

    encoder: IndexEncoder
    bias: float
    weights: Floats
    """(indexes,)."""
    factors: Floats
    """(indexes, k); k is 0 for logistic regression."""

    @property
    def size_bytes(self) -> int:
        return int(self.weights.nbytes + self.factors.nbytes + 2 * self.encoder.mean.nbytes)

    def inputs(self, data: ZooData, rows: Ints) -> tuple[Floats, Ints]:
        return data.features[rows], data.ids[rows]

    def score(self, inputs: Any) -> Floats:
        features, ids = inputs
        return _scores(*self.encoder.encoded(features, ids), self.bias, self.weights, self.factors)


def fit_hashed_logistic(data: ZooData, rows: Ints, is_fraud: Flags, seed: int) -> ZooModel:
    """Logistic regression with the hashing trick."""
    return _fit(data, rows, is_fraud, seed, 0)


def fit_factorisation_machine(data: ZooData, rows: Ints, is_fraud: Flags, seed: int) -> ZooModel:
    """A factorisation machine of the second order."""
    return _fit(data, rows, is_fraud, seed, FACTORS)


def _fit(data: ZooData, rows: Ints, is_fraud: Flags, seed: int, factor_count: int) -> FactorisationModel:
    chosen, row_weight = sample_honest(is_fraud, HONEST_ROWS, seed)
    encoder = IndexEncoder.fitted(data.features[rows[chosen]])
    indexes, values = encoder.encoded(data.features[rows[chosen]], data.ids[rows[chosen]])
    penalty = np.where(np.arange(encoder.size) < encoder.number_indexes, PENALTY, ID_PENALTY)
    rng = np.random.default_rng(seed)
    weights = np.zeros(encoder.size, np.float32)
    factors = rng.normal(0, 0.01, (encoder.size, factor_count)).astype(np.float32)
    rate = float(is_fraud.mean())
    bias = math.log(rate / (1 - rate))
    order = np.concatenate([rng.permutation(len(chosen)) for _ in range(EPOCHS)])
    target = is_fraud[chosen].astype(np.float32)
    rows_in = _TrainingRows(indexes, values, target, row_weight / row_weight.mean())
    bias = _train(*rows_in, order, bias, weights, factors, penalty.astype(np.float32))
    return FactorisationModel(encoder, bias, weights, factors)


class _TrainingRows(NamedTuple):
    indexes: Int32s
    values: Floats
    target: Floats
    weight: Floats


@njit(cache=True)
def _margin(
    active: Int32s, values: Floats, bias: float, weights: Floats, factors: Floats, sums: Floats
) -> float:
    """Linear part plus Σ over factors of ((Σ vx)² - Σ (vx)²) / 2; `sums` receives Σ vx."""
    margin = bias
    for n in range(active.size):
        margin += weights[active[n]] * values[n]
    for k in range(factors.shape[1]):
        total, squares = 0.0, 0.0
        for n in range(active.size):
            v = factors[active[n], k] * values[n]
            total += v
            squares += v * v
        sums[k] = total
        margin += 0.5 * (total * total - squares)
    return margin


@njit(cache=True)
def _train(
    indexes: Int32s,
    values: Floats,
    target: Floats,
    row_weight: Floats,
    order: Ints,
    bias: float,
    weights: Floats,
    factors: Floats,
    penalty: Floats,
) -> float:
    weight_squares = np.full(weights.size, 1e-2, np.float32)
    factor_squares = np.full(factors.shape, 1e-2, np.float32)
    bias_squares = 1e-2
    sums = np.zeros(factors.shape[1], np.float32)
    for row in order:
        active = indexes[row]
        margin = _margin(active, values[row], bias, weights, factors, sums)
        slope = (1 / (1 + math.exp(-min(max(margin, -30.0), 30.0))) - target[row]) * row_weight[row]
        bias_squares += slope * slope
        bias -= RATE * slope / math.sqrt(bias_squares)
        for n in range(active.size):
            i, x = active[n], values[row, n]
            step = slope * x + penalty[i] * weights[i]
            weight_squares[i] += step * step
            weights[i] -= RATE * step / math.sqrt(weight_squares[i])
            for k in range(factors.shape[1]):
                v = factors[i, k]
                step = slope * x * (sums[k] - v * x) + penalty[i] * v
                factor_squares[i, k] += step * step
                factors[i, k] -= RATE * step / math.sqrt(factor_squares[i, k])
    return bias


@njit(cache=True)
def _scores(indexes: Int32s, values: Floats, bias: float, weights: Floats, factors: Floats) -> Floats:
    scores = np.empty(len(indexes), np.float32)
    sums = np.zeros(factors.shape[1], np.float32)
    for row in range(len(indexes)):
        margin = _margin(indexes[row], values[row], bias, weights, factors, sums)
        scores[row] = 1 / (1 + math.exp(-min(max(margin, -30.0), 30.0)))
    return scores
