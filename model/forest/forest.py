"""Trees ready to score and explain: compiled where that equals XGBoost, else by XGBoost itself."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from model.forest.shap import Shap, splits_of
from model.forest.trees import UnsupportedTreesError, Walk, trees_of
from stream_features.catalogue.features import NAMES
from stream_features.catalogue.reason_text import REASON_GROUP
from stream_features.kernels.state import Vector
from stream_features.vector import SIZE

Matrix = npt.NDArray[np.float32]
Probabilities = npt.NDArray[np.float32]
Contributions = npt.NDArray[np.float64]

REASONS: Final = 4
"""A decision names so many at most, as issuers' adverse-action notices do."""
SLIGHT: Final = 0.1
"""What pushes less than this share of the strongest reason's push is no reason."""
_MEMBERS: Final = {group: np.flatnonzero(group == REASON_GROUP) for group in np.unique(REASON_GROUP).tolist()}
SUM_TOLERANCE: Final = 1e-4
"""Most by which contributions may miss the margin of a float32 score, relative to their size."""


def booster_of(ubj: bytes) -> Any:
    """An XGBoost booster that predicts in one thread."""
    import xgboost

    return xgboost.Booster({"nthread": 1}, model_file=bytearray(ubj))


class Forest:
    """The trees of one UBJSON document. One thread; not shared between threads."""

    def __init__(self, ubj: bytes) -> None:
        self.ubj = ubj
        self._booster = booster_of(ubj)
        self._walk: Walk | None = None
        self._shap: Shap | None = None
        self.not_compiled: str | None = None
        """Why XGBoost itself scores, some 60 times slower for one row; None where the compiled walk does."""
        self.not_explained: str | None = None
        """Why XGBoost itself explains, some 10 times slower; None where the compiled code does."""
        try:
            self._walk = Walk(trees_of(self._booster))
        except UnsupportedTreesError as error:
            self.not_compiled = str(error)
        try:
            self._shap = Shap(splits_of(self._booster))
        except UnsupportedTreesError as error:
            self.not_explained = str(error)

    def predict(self, matrix: Matrix) -> Probabilities:
        """Probability of fraud of each row of float32 (n, SIZE); shape (n,), float32."""
        if self._walk is not None:
            return self._walk.scores(matrix)
        return np.asarray(self._booster.inplace_predict(matrix), dtype=np.float32)

    def check_walk(self, rows: Matrix) -> None:
        """Give the compiled walk up where this machine's arithmetic differs from XGBoost's in any bit."""
        expected = np.asarray(self._booster.inplace_predict(rows), dtype=np.float32)
        if self._walk is not None and not np.array_equal(self._walk.scores(rows), expected):
            self._walk, self.not_compiled = None, "the compiled walk differs from XGBoost on a sample row"

    def reasons(self, row: Vector, k: int = REASONS) -> list[str]:
        """Up to k features that push one row's score up most, strongest first; see `top_reasons`."""
        return top_reasons(self.contributions(np.asarray(row, np.float32)), k)

    def contributions(self, row: Vector) -> Contributions:
        """How much each feature moves one row's margin (log odds), exactly; shape (SIZE,), float64."""
        if self._shap is not None:
            return self._shap.contributions(row)
        import xgboost

        data = xgboost.DMatrix(row.reshape(1, SIZE), nthread=1)
        found = self._booster.predict(data, pred_contribs=True)
        return np.asarray(found[0, :SIZE], dtype=np.float64)

    def check_shap(self, rows: Matrix) -> None:
        """Give the compiled explanation up where it does not add up to the score of one of the rows."""
        if self._shap is None:
            return
        margins = np.asarray(self._booster.inplace_predict(rows, predict_type="margin"), np.float64)
        for row, margin in zip(rows, margins, strict=True):
            parts = self._shap.contributions(row)
            size = 1 + abs(self._shap.bias) + np.abs(parts).sum()
            if not abs(parts.sum() + self._shap.bias - margin) <= SUM_TOLERANCE * size:
                self._shap, self.not_explained = None, "contributions do not add up on a sample row"
                return


def top_reasons(parts: Contributions, k: int = REASONS) -> list[str]:
    """Names of up to k features that push towards fraud, strongest first.

    Features that say the same, such as the payments of one hour and of a day, are one reason: it weighs what
    they do together, and is named by the one that pushes most. What pushes only slightly beside the strongest
    is left out.

    Args:
        parts: contributions to the margin; shape (SIZE,).
    """
    together = np.bincount(REASON_GROUP, weights=parts, minlength=SIZE)
    strongest = np.argsort(-together, kind="stable")[:k].tolist()
    least = max(0.0, SLIGHT * together[strongest[0]])
    return [
        NAMES[_MEMBERS[group][parts[_MEMBERS[group]].argmax()]]
        for group in strongest
        if together[group] > least
    ]
