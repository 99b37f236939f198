"""A model's trees, scored and explained by compiled code where that equals XGBoost, else by XGBoost."""

from typing import Any, Final

import numpy as np

from fraudsim.arrays import Floats
from model.forest.reasons import REASONS, Contributions, top_reasons
from model.forest.shap import TreeExplainer, splits_of
from model.forest.trees import TreePredictor, UnsupportedTreesError, pad_trees
from stream_features.kernels.state import Vector
from stream_features.vector import SIZE

Matrix = Floats
Probabilities = Floats

SUM_TOLERANCE: Final = 1e-4
"""Largest error of the contributions' sum against the margin of a float32 score, relative to their size."""


def booster_of(ubj: bytes) -> Any:
    """An XGBoost booster that predicts in one thread."""
    import xgboost

    return xgboost.Booster({"nthread": 1}, model_file=bytearray(ubj))


class Forest:
    """The trees of one UBJSON document. One thread; not to be shared between threads."""

    def __init__(self, ubj: bytes) -> None:
        self.ubj = ubj
        self._booster = booster_of(ubj)
        self._predictor: TreePredictor | None = None
        self._explainer: TreeExplainer | None = None
        self.not_compiled: str | None = None
        """Why XGBoost itself scores, some 60 times slower for one row; None if compiled code scores."""
        self.not_explained: str | None = None
        """Why XGBoost itself explains, some 10 times slower; None if compiled code explains."""
        try:
            self._predictor = TreePredictor(pad_trees(self._booster))
        except UnsupportedTreesError as error:
            self.not_compiled = str(error)
        try:
            self._explainer = TreeExplainer(splits_of(self._booster))
        except UnsupportedTreesError as error:
            self.not_explained = str(error)

    def predict(self, matrix: Matrix) -> Probabilities:
        """Probability of fraud of each row of float32 (n, SIZE); shape (n,), float32."""
        if self._predictor is not None:
            return self._predictor.scores(matrix)
        return np.asarray(self._booster.inplace_predict(matrix), dtype=np.float32)

    def check_predictor(self, rows: Matrix) -> None:
        """Drop the compiled predictor if on this machine a score differs from XGBoost's in any bit."""
        expected = np.asarray(self._booster.inplace_predict(rows), dtype=np.float32)
        if self._predictor is not None and not np.array_equal(self._predictor.scores(rows), expected):
            self._predictor = None
            self.not_compiled = "the compiled walk differs from XGBoost on a sample row"

    def reasons(self, row: Vector, k: int = REASONS) -> list[str]:
        """Up to k features that raise one row's score most, strongest first; see `top_reasons`."""
        return top_reasons(self.contributions(np.asarray(row, np.float32)), k)

    def contributions(self, row: Vector) -> Contributions:
        """Exact contribution of each feature to one row's margin (log odds); shape (SIZE,), float64."""
        if self._explainer is not None:
            return self._explainer.contributions(row)
        import xgboost

        data = xgboost.DMatrix(row.reshape(1, SIZE), nthread=1)
        with_bias = self._booster.predict(data, pred_contribs=True)
        return np.asarray(with_bias[0, :SIZE], dtype=np.float64)

    def check_explainer(self, rows: Matrix) -> None:
        """Drop the compiled explainer if its contributions do not add up to the score of one of the rows."""
        if self._explainer is None:
            return
        margins = np.asarray(self._booster.inplace_predict(rows, predict_type="margin"), np.float64)
        for row, margin in zip(rows, margins, strict=True):
            contributions = self._explainer.contributions(row)
            size = 1 + abs(self._explainer.bias) + np.abs(contributions).sum()
            error = abs(contributions.sum() + self._explainer.bias - margin)
            if not error <= SUM_TOLERANCE * size:
                self._explainer = None
                self.not_explained = "contributions do not add up on a sample row"
                return
