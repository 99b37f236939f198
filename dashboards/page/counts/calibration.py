"""The frauds that probabilities predict, beside those that there were. Pure."""

from bisect import bisect_left
from typing import Final

import msgspec

from fraudsim.metrics import CALIBRATION_BUCKETS

_EDGES: Final = CALIBRATION_BUCKETS[:-1]


class Band(msgspec.Struct):
    """Decisions whose probability of fraud lies between two edges."""

    to: float
    """Upper edge."""
    decisions: int = 0
    predicted: float = 0.0
    """Sum of their probabilities."""
    frauds: int = 0
    """Frauds among them, by the truth."""


class CalibrationBands:
    """Decisions about which the truth is known, by their probability."""

    def __init__(self) -> None:
        self.bands = [Band(to) for to in CALIBRATION_BUCKETS]

    @property
    def predicted(self) -> float:
        """Frauds that all these decisions predict."""
        return sum(band.predicted for band in self.bands)

    @property
    def frauds(self) -> int:
        """Frauds among them."""
        return sum(band.frauds for band in self.bands)

    def add(self, probability: float, is_fraud: bool) -> None:
        """Add a decision."""
        band = self.bands[bisect_left(_EDGES, probability)]
        band.decisions += 1
        band.predicted += probability
        band.frauds += is_fraud
