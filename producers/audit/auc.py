"""The area under the ROC curve (AUC) of a score, and its standard error."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudsim.arrays import Flags


def auc(score: NDArray[Any], fraud: Flags) -> float:
    """Probability that a fraud scores above an honest transaction, ties counted half (Mann-Whitney)."""
    _, codes = np.unique(score, return_inverse=True)
    total = np.bincount(codes)
    frauds = np.bincount(codes, weights=fraud, minlength=len(total))
    honest = total - frauds
    honest_below = np.cumsum(honest) - honest
    pairs = frauds.sum() * honest.sum()
    return float(((honest_below + honest / 2) * frauds).sum() / pairs) if pairs else 0.5


def auc_error(value: float, frauds: int, honest: int) -> float:
    """Standard error of an AUC (Hanley & McNeil, Radiology 143, 1982)."""
    q1, q2 = value / (2 - value), 2 * value**2 / (1 + value)
    variance = value * (1 - value) + (frauds - 1) * (q1 - value**2) + (honest - 1) * (q2 - value**2)
    return float(np.sqrt(max(variance, 0.0) / max(frauds * honest, 1)))
