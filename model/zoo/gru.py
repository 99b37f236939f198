"""A small gated recurrent unit over a card's last payments, in numpy, with its training through time.

Cho et al. 2014, in the form that ONNX calls GRU with linear_before_reset=0: with x the payment and h the
state, z = σ(xWz + hRz + bz), r = σ(xWr + hRr + br), n = tanh(xWn + (r∘h)Rn + bn), h' = (1 - z)∘n + z∘h. A
step before the card's first payment leaves the state as it is. The last state gives the margin. Adam (Kingma
and Ba 2015).
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from fraudsim.arrays import Flags, Floats, Ints
from model.forest.fit import sample_honest
from model.zoo.interface import PAYMENT_SIZE, ZooData, ZooModel

HIDDEN: Final = 24
HONEST_ROWS: Final = 20_000
EPOCHS: Final = 6
BATCH: Final = 256
RATE: Final = 0.004
Parameters = dict[str, Floats]
"""W (P, 3H), R (H, 3H), b (3H,) in the order z, r, n; out (H,), bias (1,)."""


@dataclass(frozen=True, eq=False)
class GruModel:
    """A fitted GRU."""

    parameters: Parameters

    @property
    def size_bytes(self) -> int:
        return sum(values.nbytes for values in self.parameters.values())

    def inputs(self, data: ZooData, rows: Ints) -> Floats:
        return data.sequences(rows)

    def score(self, inputs: Any) -> Floats:
        margin, _ = forward(self.parameters, inputs)
        return _sigmoid(margin)


def fit_gru(data: ZooData, rows: Ints, is_fraud: Flags, seed: int) -> ZooModel:
    """A GRU on the sequences of the training rows, its honest rows sampled and weighted."""
    chosen, row_weight = sample_honest(is_fraud, HONEST_ROWS, seed)
    rng = np.random.default_rng(seed)
    rate = float(is_fraud.mean())
    parameters = initial_parameters(rng, float(np.log(rate / (1 - rate))))
    first = {name: np.zeros_like(values) for name, values in parameters.items()}
    second = {name: np.zeros_like(values) for name, values in parameters.items()}
    step = 0
    for _ in range(EPOCHS):
        order = rng.permutation(len(chosen))
        for low in range(0, len(order), BATCH):
            batch = order[low : low + BATCH]
            gradients = backward(
                parameters,
                data.sequences(rows[chosen[batch]]),
                is_fraud[chosen[batch]].astype(np.float32),
                row_weight[batch] / row_weight.mean(),
            )
            step += 1
            _adam(parameters, gradients, first, second, step)
    return GruModel(parameters)


def initial_parameters(rng: np.random.Generator, bias: float, size: int = PAYMENT_SIZE) -> Parameters:
    """Small random weights; the margin starts at `bias`."""
    scale = 1 / np.sqrt(HIDDEN)
    return {
        "W": rng.uniform(-scale, scale, (size, 3 * HIDDEN)).astype(np.float32),
        "R": rng.uniform(-scale, scale, (HIDDEN, 3 * HIDDEN)).astype(np.float32),
        "b": np.zeros(3 * HIDDEN, np.float32),
        "out": rng.uniform(-scale, scale, HIDDEN).astype(np.float32),
        "bias": np.array([bias], np.float32),
    }


def forward(p: Parameters, x: Floats) -> tuple[Floats, list[tuple[Floats, ...]]]:
    """Margins (rows,) of sequences (rows, steps, P), and what each step needs for the way back.

    The last column of x is 1 where there is a payment.
    """
    h: Any = np.zeros((len(x), HIDDEN), np.float32)
    trace: list[tuple[Floats, ...]] = []
    projected = x @ p["W"] + p["b"]
    gates, rest = slice(0, 2 * HIDDEN), slice(2 * HIDDEN, None)
    for t in range(x.shape[1]):
        zr = _sigmoid(projected[:, t, gates] + h @ p["R"][:, gates])
        z, r = zr[:, :HIDDEN], zr[:, HIDDEN:]
        n = np.tanh(projected[:, t, rest] + (r * h) @ p["R"][:, rest])
        present = x[:, t, -1:]
        trace.append((h, z, r, n, present))
        h = h + present * (1 - z) * (n - h)
    return h @ p["out"] + p["bias"][0], [*trace, (h,)]


def backward(p: Parameters, x: Floats, target: Floats, weight: Floats) -> Parameters:
    """Gradients of the mean weighted logistic loss."""
    margin, trace = forward(p, x)
    slope = ((_sigmoid(margin) - target) * weight / len(x)).astype(np.float32)
    gradients = {name: np.zeros_like(values) for name, values in p.items()}
    gradients["out"] = trace[-1][0].T @ slope
    gradients["bias"] = slope.sum(keepdims=True)
    dh = slope[:, None] * p["out"]
    gates, rest = slice(0, 2 * HIDDEN), slice(2 * HIDDEN, None)
    for t in range(x.shape[1] - 1, -1, -1):
        h, z, r, n, present = trace[t]
        moved = dh * present
        dn = moved * (1 - z) * (1 - n * n)
        dz = moved * (h - n) * z * (1 - z)
        drh = dn @ p["R"][:, rest].T
        dr = drh * h * r * (1 - r)
        dgates = np.concatenate([dz, dr], axis=1)
        gradients["R"][:, gates] += h.T @ dgates
        gradients["R"][:, rest] += (r * h).T @ dn
        dprojected = np.concatenate([dgates, dn], axis=1)
        gradients["W"] += x[:, t].T @ dprojected
        gradients["b"] += dprojected.sum(axis=0)
        dh = dh * (1 - present) + moved * z + drh * r + dgates @ p["R"][:, gates].T
    return gradients


def _adam(p: Parameters, gradients: Parameters, first: Parameters, second: Parameters, step: int) -> None:
    for name, gradient in gradients.items():
        first[name] += 0.1 * (gradient - first[name])
        second[name] += 0.001 * (gradient * gradient - second[name])
        mean, square = first[name] / (1 - 0.9**step), second[name] / (1 - 0.999**step)
        p[name] -= RATE * mean / (np.sqrt(square) + 1e-8)


def _sigmoid(values: Floats) -> Floats:
    return (1 / (1 + np.exp(-np.clip(values, -30, 30)))).astype(np.float32)
