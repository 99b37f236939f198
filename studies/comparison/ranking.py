"""How a run's scores rank its payments."""

import numpy as np

from fraudsim.arrays import Flags, Floats
from model.training.ranking import average_precision
from simulator.line.decided import DecidedStretch
from studies.comparison.figures import RANKING


class RankedPayments:
    """Scores of all payments of a run that decides at once, beside the truth."""

    def __init__(self) -> None:
        self._scores: list[Floats] = []
        self._fraud: list[Flags] = []

    def add(self, decided: DecidedStretch) -> None:
        """Take in a stretch; payments that a campaign did not make are none."""
        self._scores.append(decided.scores[decided.present])
        self._fraud.append(decided.stretch.is_fraud[decided.present])

    def measures(self) -> dict[str, float]:
        """`RANKING`: average precision, percent."""
        scores, fraud = np.concatenate(self._scores), np.concatenate(self._fraud)
        return {RANKING: 100 * average_precision(fraud, scores)}
