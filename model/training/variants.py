"""Cheaper models beside the full one: a cascade and a distilled model, of the same periods and labels."""

from typing import Final

from fraudsim.arrays import Flags, Floats
from model.artefact.cascade import Cascade
from model.artefact.costs import Costs
from model.artefact.files import sample_scores, sha256_of
from model.artefact.first_stage import choose_limit, fit_first_stage
from model.artefact.manifest import CascadeNumbers, Distilled, Sample, Variants
from model.artefact.thresholds import choose_thresholds
from model.forest.fit import scores_of
from model.forest.forest import Forest
from model.training.dataset import TrainingDataset
from model.training.distillation import DEPTH, TREES, fit_distilled
from model.training.evaluation import metrics_of, sample_of
from model.training.fitted_model import FittedModel
from stream_features.vector import as_list

LOSS: Final = 0.01
"""Share by which the cascade's decisions may cost more than the full model's, on the calibration slice."""


def fit_variants(
    dataset: TrainingDataset,
    features: Floats,
    full: FittedModel,
    costs: Costs,
    seed: int,
    groups: list[str | None] | None = None,
) -> tuple[Variants, bytes]:
    """The manifest's part on the cascade and the distilled model, and the distilled trees as UBJSON.

    As with the full model, cut-offs are chosen on the calibration slice with models that have not seen it,
    and the final models are then fitted on the whole train period.
    """
    distilled, distilled_ubj = _fit_distilled(dataset, features, full, costs, seed, groups)
    cascade = _fit_cascade(dataset, features, full, costs, seed, groups)
    return Variants(cascade=cascade, distilled=distilled), distilled_ubj


def _fit_cascade(
    dataset: TrainingDataset,
    features: Floats,
    full: FittedModel,
    costs: Costs,
    seed: int,
    groups: list[str | None] | None,
) -> CascadeNumbers:
    held_out, train = dataset.calibration, dataset.train
    before = train & ~held_out
    early = fit_first_stage(features[before], dataset.known_fraud[before], seed)
    limit = choose_limit(
        early.scores(features[held_out]),
        scores_of(full.early_ubj, features[held_out]),
        dataset.known_stakes(held_out),
        costs,
        full.thresholds,
        LOSS,
    )
    train_features, test_features = features[train], features[dataset.test]
    first_stage = fit_first_stage(train_features, dataset.known_fraud[train], seed)
    cascade = Cascade(first_stage, limit, Forest(full.ubj))
    rows = sample_of(cascade.predict(train_features), train_features)
    return CascadeNumbers(
        weight=first_stage.weight.tolist(),
        missing=first_stage.missing.tolist(),
        bias=first_stage.bias,
        limit=limit,
        cheap_share=cascade.cheap_share(test_features),
        metrics=metrics_of(dataset, cascade.predict(test_features), costs, full.thresholds, groups),
        sample=Sample(rows=[as_list(row) for row in rows], scores=cascade.predict(rows).tolist()),
    )


def _fit_distilled(
    dataset: TrainingDataset,
    features: Floats,
    full: FittedModel,
    costs: Costs,
    seed: int,
    groups: list[str | None] | None,
) -> tuple[Distilled, bytes]:
    held_out, train = dataset.calibration, dataset.train
    before = train & ~held_out
    early_ubj = _imitate(full.early_ubj, features[before], dataset.known_fraud[before], seed)
    thresholds = choose_thresholds(
        scores_of(early_ubj, features[held_out]),
        dataset.known_stakes(held_out),
        costs,
    )
    train_features = features[train]
    ubj = _imitate(full.ubj, train_features, dataset.known_fraud[train], seed)
    rows = sample_of(scores_of(ubj, train_features), train_features)
    metrics = metrics_of(dataset, scores_of(ubj, features[dataset.test]), costs, thresholds, groups)
    sample = Sample(rows=[as_list(row) for row in rows], scores=sample_scores(ubj, rows))
    distilled = Distilled(
        trees=TREES,
        depth=DEPTH,
        thresholds=thresholds,
        metrics=metrics,
        sample=sample,
        model_sha256=sha256_of(ubj),
    )
    return distilled, ubj


def _imitate(teacher_ubj: bytes, features: Floats, known_fraud: Flags, seed: int) -> bytes:
    return fit_distilled(features, known_fraud, scores_of(teacher_ubj, features), seed)
