"""The focal loss as an objective of XGBoost. Pure.

Lin, Goyal, Girshick, He and Dollár, "Focal Loss for Dense Object Detection", ICCV 2017: with q the
probability given to the true class, L = -(1 - q)^γ · log q. γ = 0 is the logistic loss. It looks away from
what is already right, so its scores are no probabilities: they need calibration.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fraudsim.arrays import Doubles

_MARGINS = np.linspace(-12, 12, 24_001)


def focal_derivatives(margin: Doubles, is_fraud: Doubles, gamma: float) -> tuple[Doubles, Doubles]:
    """First derivative of the loss by the margin, and a curvature above 0; arrays of shape (n,).

    With s = ±1 the sign of the class and q = sigmoid(s · margin), dq/dmargin = s · q(1 - q), so
    L' = s · (1 - q)^γ · (γ · q · log q - (1 - q)), and L'' follows by the product rule. The loss is not
    convex where the model is very wrong; there the curvature is that of the weighted logistic loss.
    """
    sign = 2 * is_fraud - 1
    q = np.clip(1 / (1 + np.exp(-np.clip(sign * margin, -30, 30))), 1e-9, 1 - 1e-9)
    rest, log_q = 1 - q, np.log(q)
    inner = gamma * q * log_q - rest
    gradient = sign * rest**gamma * inner
    slope = -gamma * rest ** (gamma - 1) * inner + rest**gamma * (gamma * (log_q + 1) + 1)
    return gradient, np.maximum(slope, rest**gamma) * q * rest


def focal_base(gamma: float, fraud_rate: float) -> float:
    """The probability that has the least mean loss if all transactions get the same, to start trees from."""
    q_fraud = 1 / (1 + np.exp(-_MARGINS))
    loss = -fraud_rate * (1 - q_fraud) ** gamma * np.log(q_fraud)
    loss -= (1 - fraud_rate) * q_fraud**gamma * np.log1p(-q_fraud)
    return float(q_fraud[np.argmin(loss)])


def focal_objective(gamma: float, fraud_rate: float) -> Callable[[Any, Any], tuple[Any, Any]]:
    """The objective for `xgboost.train`, with the rows' weights, if any.

    Multiplied so that its curvature at the start is that of the logistic loss: `min_child_weight` and
    `reg_lambda` are in units of curvature, and would else forbid every split.
    """
    base = focal_base(gamma, fraud_rate)
    margin = np.full(2, np.log(base / (1 - base)))
    curvature = focal_derivatives(margin, np.array([0.0, 1.0]), gamma)[1]
    scale = fraud_rate * (1 - fraud_rate) / float(curvature @ [1 - fraud_rate, fraud_rate])

    def objective(margin: Any, data: Any) -> tuple[Any, Any]:
        weight = data.get_weight()
        gradient, hessian = focal_derivatives(np.asarray(margin, np.float64), data.get_label(), gamma)
        factor = scale * weight if len(weight) else scale
        return gradient * factor, hessian * factor

    return objective
