"""A cascade: a cheap first stage approves what is surely honest; the full model scores the rest."""

from model.artefact.first_stage import FirstStage
from model.forest.forest import Forest, Matrix, Probabilities
from model.forest.reasons import REASONS
from stream_features.kernels.state import Vector


class Cascade:
    """Scores and explains like a forest, in one thread.

    The first stage declines nothing: sure frauds are too few to save time, and they need reasons.
    """

    def __init__(self, first_stage: FirstStage, limit: float, full: Forest) -> None:
        self._first_stage = first_stage
        self._limit = limit
        self._full = full

    def predict(self, matrix: Matrix) -> Probabilities:
        """Probability of fraud of each row of float32 (n, SIZE): the first stage's if below the limit."""
        scores = self._first_stage.scores(matrix)
        if len(scores) == 1:  # a mask would take as long as the trees
            return scores if scores[0] < self._limit else self._full.predict(matrix)
        unsure = scores >= self._limit
        if unsure.any():
            scores[unsure] = self._full.predict(matrix[unsure])
        return scores

    def cheap_share(self, matrix: Matrix) -> float:
        """Share of the rows that the first stage decides."""
        return float((self._first_stage.scores(matrix) < self._limit).mean())

    def reasons(self, row: Vector, k: int = REASONS) -> list[str]:
        """The full model's reasons: what the first stage decides is approved, unless a rule raises it."""
        return self._full.reasons(row, k)
