"""A model fitted on the train period and tested on the test period. Pure."""

from dataclasses import dataclass

from fraudsim.arrays import Floats
from model.artefact.calibration import Calibration, fit_calibration
from model.artefact.costs import Costs
from model.artefact.files import sample_scores
from model.artefact.manifest import Metrics, Sample
from model.artefact.thresholds import Thresholds, choose_thresholds
from model.forest.fit import fit_trees, scores_of
from model.training.dataset import TrainingDataset
from model.training.evaluation import metrics_of, sample_of
from stream_features.vector import as_list


@dataclass(frozen=True, eq=False)
class FittedModel:
    """A model before it is written."""

    early_ubj: bytes
    """Trees fitted without the calibration slice, as UBJSON."""
    ubj: bytes
    """Trees fitted on the whole train period, as UBJSON."""
    thresholds: Thresholds
    calibration: Calibration
    metrics: Metrics
    test_scores: Floats
    """In the order of the dataset's test rows."""
    sample: Sample
    """Of the train period."""


def fit_and_test(
    dataset: TrainingDataset,
    features: Floats,
    costs: Costs,
    seed: int,
    groups: list[str | None] | None = None,
) -> FittedModel:
    """Trees, thresholds, calibration and test figures, from features in the dataset's order, shape (n, SIZE).

    Thresholds and calibration are chosen on the end of the train period, with scores of trees that have not
    seen it. The final trees are then fitted on the whole period, so that they know the latest attacks.

    Args:
        groups: one per test row; recall is reported by group.
    """
    held_out, train = dataset.calibration, dataset.train
    before = train & ~held_out
    early_ubj = fit_trees(features[before], dataset.known_fraud[before], seed)
    held_out_scores, known_fraud = scores_of(early_ubj, features[held_out]), dataset.known_fraud[held_out]
    thresholds = choose_thresholds(held_out_scores, dataset.known_stakes(held_out), costs)
    calibration = fit_calibration(held_out_scores, known_fraud)
    ubj = fit_trees(features[train], dataset.known_fraud[train], seed)
    test_scores = scores_of(ubj, features[dataset.test])
    metrics = metrics_of(dataset, test_scores, costs, thresholds, groups)
    train_features = features[train]
    rows = sample_of(scores_of(ubj, train_features), train_features)
    sample = Sample(rows=[as_list(row) for row in rows], scores=sample_scores(ubj, rows))
    return FittedModel(early_ubj, ubj, thresholds, calibration, metrics, test_scores, sample)
