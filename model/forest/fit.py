"""Fitting trees by XGBoost's histogram method, deterministic for a seed."""

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from fraudsim.arrays import Flags, Floats, Ints

HONEST_ROWS: Final = 150_000
"""Most honest transactions that are trained on; each is weighted for those left out."""


@dataclass(frozen=True)
class TreeParameters:
    """What of a fit can be chosen; the names are XGBoost's, and so are the defaults of this class."""

    trees: int = 100
    max_depth: int = 6
    eta: float = 0.3
    min_child_weight: float = 1.0
    subsample: float = 1.0
    colsample_bytree: float = 1.0
    reg_lambda: float = 1.0
    gamma: float = 0.0
    max_bin: int = 256

    def of_xgboost(self) -> dict[str, Any]:
        """The parameters of `xgboost.train`, without the number of trees and the seed.

        One thread: a second one saves a third of the time on idle cores and costs five times as much on
        busy ones.
        """
        chosen = {name: value for name, value in asdict(self).items() if name != "trees"}
        return {
            "booster": "gbtree",
            "objective": "binary:logistic",
            "tree_method": "hist",
            "nthread": 1,
            **chosen,
        }


XGBOOST_DEFAULTS: Final = TreeParameters()
SHIPPED: Final = TreeParameters(
    trees=200,
    max_depth=4,
    eta=0.07,
    min_child_weight=5,
    subsample=0.95,
    colsample_bytree=0.4,
    reg_lambda=0.6,
    gamma=0.5,
    max_bin=512,
)
"""Chosen by `fraudsim model tune`: docs/models.md has the table."""


def fit_trees(
    features: Floats,
    is_fraud: Flags,
    seed: int,
    parameters: TreeParameters | None = None,
    honest_rows: int = HONEST_ROWS,
) -> bytes:
    """The fitted booster as UBJSON.

    The loss is the logistic one, without class weights: they cost average precision, and scores would no
    longer be probabilities. On a world with 330 test frauds 150,000 of 490,000 honest rows gave an average
    precision of .258, and all of them .262, which is within noise, in three times the time. The weights of
    the rows keep the scores probabilities.

    Args:
        parameters: by default `SHIPPED`.
        honest_rows: most honest transactions that are trained on.
    """
    import xgboost

    rows, weights = sample_honest(is_fraud, honest_rows, seed)
    parameters = parameters or SHIPPED
    chosen = parameters.of_xgboost()
    data = xgboost.QuantileDMatrix(
        features[rows],
        label=is_fraud[rows],
        weight=weights,
        max_bin=parameters.max_bin,
        nthread=chosen["nthread"],
    )
    booster = xgboost.train({**chosen, "seed": seed % 2**31}, data, parameters.trees)
    return bytes(booster.save_raw("ubj"))


def sample_honest(is_fraud: Flags, honest_rows: int, seed: int) -> tuple[Ints, Floats]:
    """The rows of all frauds and about `honest_rows` honest transactions, in order, and their weights."""
    honest = int((~is_fraud).sum())
    if honest <= honest_rows:
        return np.arange(len(is_fraud)), np.ones(len(is_fraud), np.float32)
    sampled = np.random.default_rng(seed).random(len(is_fraud)) < honest_rows / honest
    rows = np.flatnonzero(is_fraud | sampled)
    weight = honest / int((sampled & ~is_fraud).sum())
    return rows, np.where(is_fraud[rows], 1.0, weight).astype(np.float32)


def scores_of(ubj: bytes, features: Floats) -> Floats:
    """XGBoost's probabilities of fraud; shape (n,), float32."""
    import xgboost

    booster = xgboost.Booster({"nthread": 1}, model_file=bytearray(ubj))
    return np.asarray(booster.inplace_predict(features), dtype=np.float32)
