"""The focal loss as an objective of XGBoost. Pure.

Lin, Goyal, Girshick, He and Dollár, "Focal Loss for Dense Object Detection", ICCV 2017: with q the
probability given to the true class, L = -(1 - q)^γ · log q. γ = 0 is the logistic loss. It looks away from
what is already right, so its scores are no probabilities: they need calibration.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fraudsim.arrays import Doubles

LEAST_HESSIAN = 1e-6
"""The loss is not convex everywhere; trees need a curvature above 0."""


def focal_derivatives(margin: Doubles, is_fraud: Doubles, gamma: float) -> tuple[Doubles, Doubles]:
    """First and second derivative of the loss by the margin; arrays of shape (n,), `is_fraud` 0 or 1.

    With s = ±1 the sign of the class and q = sigmoid(s · margin), dq/dmargin = s · q(1 - q), so
    L' = s · (1 - q)^γ · (γ · q · log q - (1 - q)), and L'' follows by the product rule.
    """
    sign = 2 * is_fraud - 1
    q = np.clip(1 / (1 + np.exp(-np.clip(sign * margin, -30, 30))), 1e-9, 1 - 1e-9)
    rest, log_q = 1 - q, np.log(q)
    inner = gamma * q * log_q - rest
    gradient = sign * rest**gamma * inner
    slope = -gamma * rest ** (gamma - 1) * inner + rest**gamma * (gamma * (log_q + 1) + 1)
    return gradient, np.maximum(slope * q * rest, LEAST_HESSIAN)


def focal_objective(gamma: float, base_rate: float) -> Callable[[Any, Any], tuple[Any, Any]]:
    """The objective for `xgboost.train`, with the rows' weights, if any.

    Multiplied so that, at the base rate, its curvature is that of the logistic loss: `min_child_weight` and
    `reg_lambda` are in units of curvature, and would else forbid every split.
    """
    margin = np.log(np.array([base_rate, base_rate]) / (1 - base_rate))
    curvature = focal_derivatives(margin, np.array([0.0, 1.0]), gamma)[1]
    scale = base_rate * (1 - base_rate) / float(curvature @ [1 - base_rate, base_rate])

    def objective(margin: Any, data: Any) -> tuple[Any, Any]:
        weight = data.get_weight()
        gradient, hessian = focal_derivatives(np.asarray(margin, np.float64), data.get_label(), gamma)
        factor = scale * weight if len(weight) else scale
        return gradient * factor, hessian * factor

    return objective
