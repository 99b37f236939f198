"""The trees of an artefact as entries of the zoo, scored as they are served."""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from fraudsim.arrays import Flags, Floats, Ints
from model.artefact.cascade import Cascade
from model.artefact.costs import Costs, Stakes
from model.artefact.first_stage import FirstStage, choose_limit, fit_first_stage
from model.artefact.thresholds import choose_thresholds
from model.forest.fit import SHIPPED, XGBOOST_DEFAULTS, TreeParameters, fit_trees, scores_of
from model.forest.forest import Forest
from model.training.distillation import fit_distilled
from model.training.split import SLICE_SHARE
from model.training.variants import LOSS
from model.zoo.interface import ZooData, ZooModel

SMALL: Final = replace(SHIPPED, trees=60, eta=0.12, max_depth=4)
DOUBLES_OF_FIRST_STAGE: Final = 8


@dataclass(frozen=True, eq=False)
class FeatureModel:
    """A model over the features of the catalogue."""

    scorer: Forest | Cascade | FirstStage
    size_bytes: int

    def inputs(self, data: ZooData, rows: Ints) -> Floats:
        return np.ascontiguousarray(data.features[rows])

    def score(self, inputs: Any) -> Floats:
        return (
            self.scorer.scores(inputs) if isinstance(self.scorer, FirstStage) else self.scorer.predict(inputs)
        )


def fit_full(data: ZooData, rows: Ints, is_fraud: Flags, seed: int) -> ZooModel:
    """XGBoost with the shipped parameters."""
    return _forest(data, rows, is_fraud, seed, SHIPPED)


def fit_xgboost_defaults(data: ZooData, rows: Ints, is_fraud: Flags, seed: int) -> ZooModel:
    """XGBoost with its own defaults."""
    return _forest(data, rows, is_fraud, seed, XGBOOST_DEFAULTS)


def fit_small(data: ZooData, rows: Ints, is_fraud: Flags, seed: int) -> ZooModel:
    """XGBoost with fewer and shallower trees."""
    return _forest(data, rows, is_fraud, seed, SMALL)


def fit_distilled_trees(data: ZooData, rows: Ints, is_fraud: Flags, seed: int) -> ZooModel:
    """A few shallow trees that imitate the full ones."""
    features = data.features[rows]
    teacher = scores_of(fit_trees(features, is_fraud, seed), features)
    ubj = fit_distilled(features, is_fraud, teacher, seed)
    return FeatureModel(Forest(ubj), len(ubj))


def fit_logistic(data: ZooData, rows: Ints, is_fraud: Flags, seed: int) -> ZooModel:
    """The cascade's first stage by itself: logistic regression on logarithms."""
    first = fit_first_stage(data.features[rows], is_fraud, seed)
    return FeatureModel(first, _size(first))


def fit_cascade(data: ZooData, rows: Ints, is_fraud: Flags, seed: int) -> ZooModel:
    """Logistic regression before the full trees; its limit is chosen on the end of the training rows."""
    cut = int((1 - SLICE_SHARE) * len(rows))
    early, late = data.features[rows[:cut]], data.features[rows[cut:]]
    stakes = Stakes(data.amount_cents[rows[cut:]], is_fraud[cut:], data.can_hold[rows[cut:]])
    costs = Costs()
    full_scores = scores_of(fit_trees(early, is_fraud[:cut], seed), late)
    thresholds = choose_thresholds(full_scores, stakes, costs)
    first_scores = fit_first_stage(early, is_fraud[:cut], seed).scores(late)
    limit = choose_limit(first_scores, full_scores, stakes, costs, thresholds, LOSS)
    features = data.features[rows]
    ubj, first = fit_trees(features, is_fraud, seed), fit_first_stage(features, is_fraud, seed)
    return FeatureModel(Cascade(first, limit, Forest(ubj)), len(ubj) + _size(first))


def _forest(
    data: ZooData, rows: Ints, is_fraud: Flags, seed: int, parameters: TreeParameters
) -> FeatureModel:
    ubj = fit_trees(data.features[rows], is_fraud, seed, parameters)
    return FeatureModel(Forest(ubj), len(ubj))


def _size(first: FirstStage) -> int:
    return DOUBLES_OF_FIRST_STAGE * (len(first.weight) + len(first.missing) + 1)
