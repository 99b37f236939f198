"""The fallback: a second model that decides from the transaction alone, without state. Pure."""

import numpy as np

from fraudsim.arrays import Floats
from model.artefact.costs import Costs
from model.artefact.files import sha256_of
from model.artefact.manifest import REQUEST_NAMES, Fallback
from model.training.dataset import TrainingDataset
from model.training.fitted_model import FittedModel, fit_and_test
from stream_features.catalogue.features import feature_indexes


def request_only(features: Floats) -> Floats:
    """The features where no state can be read: null, except those of the transaction itself.

    The columns stay, so both models score rows of one shape; trees never split on a null column.
    """
    blinded = np.full_like(features, np.nan)
    request = feature_indexes("request")
    blinded[:, request] = features[:, request]
    return blinded


def fit_fallback(
    dataset: TrainingDataset, features: Floats, costs: Costs, seed: int, groups: list[str | None] | None
) -> FittedModel:
    """Trees, thresholds and calibration of the fallback, on the full model's periods and labels."""
    return fit_and_test(dataset, request_only(features), costs, seed, groups)


def fallback_entry(fallback: FittedModel) -> Fallback:
    """The fallback's part of the manifest."""
    return Fallback(
        features=list(REQUEST_NAMES),
        thresholds=fallback.thresholds,
        metrics=fallback.metrics,
        sample=fallback.sample,
        model_sha256=sha256_of(fallback.ubj),
        calibration=fallback.calibration,
    )
