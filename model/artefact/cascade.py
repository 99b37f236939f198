"""Cheap first, heavy where needed: what is surely honest is approved by a first stage alone."""

from model.artefact.first_stage import FirstStage
from model.forest.forest import Forest, Matrix, Probabilities
from model.forest.reasons import REASONS
from stream_features.kernels.state import Vector


class Cascade:
    """Scores as a forest does. One thread.

    Only in one direction: of what is surely fraud there is too little to save anything, and it needs reasons.
    """

    def __init__(self, first: FirstStage, limit: float, full: Forest) -> None:
        self._first = first
        self._limit = limit
        self._full = full

    def predict(self, matrix: Matrix) -> Probabilities:
        """Probability of fraud of each row of float32 (n, SIZE): the first stage's where below the limit."""
        scores = self._first.scores(matrix)
        if len(scores) == 1:  # a mask would take as long as the trees
            return scores if scores[0] < self._limit else self._full.predict(matrix)
        unsure = scores >= self._limit
        if unsure.any():
            scores[unsure] = self._full.predict(matrix[unsure])
        return scores

    def cheap_share(self, matrix: Matrix) -> float:
        """Share of the rows that the first stage decides."""
        return float((self._first.scores(matrix) < self._limit).mean())

    def reasons(self, row: Vector, k: int = REASONS) -> list[str]:
        """The full model's: what the first stage decides is approved, unless a rule raises it."""
        return self._full.reasons(row, k)
