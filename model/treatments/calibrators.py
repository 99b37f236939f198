"""Maps from scores to probabilities, fitted on labelled transactions: none, Platt's, isotonic.

Platt's has two parameters and is what an artefact holds (`model.artefact.calibration`). The isotonic one
(Zadrozny and Elkan 2002, by scikit-learn) follows any monotonic curve, and overfits where frauds are few; its
steps also tie scores, so it may cost average precision.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from fraudsim.arrays import Flags, Floats
from model.artefact.calibration import CLIP, fit_calibration

ScoreMap = Callable[[Floats], Floats]


def fit_nothing(scores: Floats, is_fraud: Flags) -> ScoreMap:
    """Scores as they are."""
    return lambda raw: raw


def fit_platt(scores: Floats, is_fraud: Flags) -> ScoreMap:
    """A logistic curve of the logit."""
    chosen = fit_calibration(scores, is_fraud)

    def probability(raw: Floats) -> Floats:
        s = np.clip(np.asarray(raw, np.float64), CLIP, 1 - CLIP)
        margin = chosen.slope * np.log(s / (1 - s)) + chosen.intercept
        return (1 / (1 + np.exp(-np.clip(margin, -700, 700)))).astype(np.float32)

    return probability


def fit_isotonic(scores: Floats, is_fraud: Flags) -> ScoreMap:
    """The best monotonic step function, linear between its steps."""
    from sklearn.isotonic import IsotonicRegression

    chosen = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
    chosen.fit(np.asarray(scores, np.float64), is_fraud.astype(np.float64))
    return lambda raw: np.asarray(chosen.predict(np.asarray(raw, np.float64)), np.float32)


CALIBRATORS: Final = {"none": fit_nothing, "Platt": fit_platt, "isotonic": fit_isotonic}
