"""The area under the ROC curve (AUC) of a score, and its standard error."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def auc(score: NDArray[Any], fraud: NDArray[np.bool_]) -> float:
    """Chance that a fraud scores above an honest transaction, ties by half (Mann-Whitney)."""
    _, codes = np.unique(score, return_inverse=True)
    total = np.bincount(codes)
    bad = np.bincount(codes, weights=fraud, minlength=len(total))
    good = total - bad
    below = np.cumsum(good) - good
    pairs = bad.sum() * good.sum()
    return float(((below + good / 2) * bad).sum() / pairs) if pairs else 0.5


def auc_error(value: float, frauds: int, honest: int) -> float:
    """Standard error of an AUC (Hanley & McNeil, Radiology 143, 1982)."""
    one, two = value / (2 - value), 2 * value**2 / (1 + value)
    spread = value * (1 - value) + (frauds - 1) * (one - value**2) + (honest - 1) * (two - value**2)
    return float(np.sqrt(max(spread, 0.0) / max(frauds * honest, 1)))
