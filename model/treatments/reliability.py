"""Reliability: does a share p of the transactions with a probability of p turn out to be fraud? Pure."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from fraudsim.arrays import Doubles, Flags, Floats

BINS: Final = 12
Z: Final = 1.645
"""Of 90 % intervals."""


@dataclass(frozen=True)
class ReliabilityBin:
    """Transactions of similar probability."""

    count: int
    frauds: int
    mean_probability: float
    low: float
    high: float
    """90 % interval of the fraud rate (Wilson 1927)."""

    @property
    def fraud_rate(self) -> float:
        return self.frauds / self.count

    @property
    def agrees(self) -> bool:
        """Whether the mean probability lies within the interval."""
        return self.low <= self.mean_probability <= self.high


@dataclass(frozen=True)
class CalibrationFigures:
    """How good probabilities are as probabilities."""

    mean_probability: float
    fraud_rate: float
    brier: float
    log_loss: float
    calibration_error: float
    """Mean distance of mean probability and fraud rate over the bins, weighted by their transactions."""


def reliability(probability: Floats, is_fraud: Flags, bins: int = BINS) -> list[ReliabilityBin]:
    """Bins of equally many frauds in order of probability, so that each says something; empty without fraud.

    Frauds are rare: bins of equally many transactions would hold none but in the last.
    """
    order = np.argsort(probability, kind="stable")
    p, fraud = np.asarray(probability, np.float64)[order], is_fraud[order]
    frauds_before = np.cumsum(fraud)
    if not len(p) or not frauds_before[-1]:
        return []
    wanted_cuts = np.linspace(0, frauds_before[-1], min(bins, int(frauds_before[-1])) + 1)[1:-1]
    cuts = np.unique(np.searchsorted(p, p[np.searchsorted(frauds_before, wanted_cuts)], side="right"))
    edges = [0, *cuts[cuts < len(p)].tolist(), len(p)]
    return [_bin(p[low:high], fraud[low:high]) for low, high in pairwise(edges)]


def calibration_figures(probability: Floats, is_fraud: Flags) -> CalibrationFigures:
    """The figures of probabilities in [0, 1], shape (n,)."""
    p = np.asarray(probability, np.float64)
    clipped = np.clip(p, 1e-9, 1 - 1e-9)
    gaps = [
        bin_.count * abs(bin_.mean_probability - bin_.fraud_rate)
        for bin_ in reliability(probability, is_fraud)
    ]
    return CalibrationFigures(
        mean_probability=float(p.mean()),
        fraud_rate=float(is_fraud.mean()),
        brier=float(np.mean((p - is_fraud) ** 2)),
        log_loss=float(-np.mean(np.where(is_fraud, np.log(clipped), np.log1p(-clipped)))),
        calibration_error=float(sum(gaps) / len(p)),
    )


def wilson(frauds: int, count: int) -> tuple[float, float]:
    """90 % interval of a share."""
    share, square = frauds / count, Z * Z
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = Z / (1 + square / count) * np.sqrt(share * (1 - share) / count + square / (4 * count * count))
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))


def _bin(p: Doubles, fraud: Flags) -> ReliabilityBin:
    frauds, count = int(fraud.sum()), len(p)
    return ReliabilityBin(count, frauds, float(p.mean()), *wilson(frauds, count))
