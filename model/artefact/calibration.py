"""Calibration from scores to probabilities: Platt scaling. Pure.

P(fraud | s) = 1 / (1 + exp(-(slope · logit(s) + intercept))), with slope and intercept of maximum likelihood
(Platt 1999). It is applied to the logit because trees with a logistic objective are nearly calibrated
already: then slope is 1 and intercept 0.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fraudsim.arrays import Flags
from fraudsim.errors import FraudsimError

CLIP: Final = 1e-9
"""Scores nearer to 0 or 1 than this are clipped."""
STEPS: Final = 50
"""Most Newton steps."""


@dataclass(frozen=True)
class Calibration:
    """A monotonic map from scores to probabilities; the default is the identity.

    Raises:
        FraudsimError: the slope is not above 0, or either is not a number.
    """

    slope: float = 1.0
    intercept: float = 0.0

    def __post_init__(self) -> None:
        if not (self.slope > 0 and math.isfinite(self.slope) and math.isfinite(self.intercept)):
            raise FraudsimError(f"calibration: {self} must be finite, with a slope above 0")

    def probability(self, score: float) -> float:
        """The probability of fraud of a score in [0, 1]."""
        score = min(max(score, CLIP), 1 - CLIP)
        x = self.slope * math.log(score / (1 - score)) + self.intercept
        # Two forms, so that exp cannot overflow.
        return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def fit_calibration(scores: npt.NDArray[Any], is_fraud: Flags) -> Calibration:
    """The map of maximum likelihood, by Newton's method; the identity if scores do not rank fraud higher.

    `scores` in [0, 1] and `is_fraud` have shape (n,), with both classes present.
    """
    s = np.clip(np.asarray(scores, np.float64), CLIP, 1 - CLIP)
    x = np.stack([np.log(s / (1 - s)), np.ones(len(s))])
    target = is_fraud.astype(np.float64)
    weights = np.array([1.0, 0.0])
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-np.clip(weights @ x, -700, 700)))
        curvature = (x * (p * (1 - p))) @ x.T
        try:
            step = np.linalg.solve(curvature, x @ (target - p))
        except np.linalg.LinAlgError:
            return Calibration()  # all scores are the same
        weights = weights + step
        if np.abs(step).max() < 1e-9:
            break
    else:
        return Calibration()  # the classes are separable: the slope has no maximum
    slope, intercept = (float(w) for w in weights)
    return Calibration(slope, intercept) if slope > 0 else Calibration()
