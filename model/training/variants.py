"""Cheaper models beside the full one, fitted on the same periods and labels, and what each sacrifices."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from model.artefact.cascade import Cascade
from model.artefact.files import sample_scores, sha256_of
from model.artefact.first_stage import choose_limit, fit_first_stage
from model.artefact.manifest import CascadeNumbers, Distilled, Sample, Variants
from model.artefact.thresholds import Costs, Thresholds, choose_thresholds
from model.forest.fit import scores_of
from model.forest.forest import Forest
from model.training.dataset import Dataset
from model.training.distillation import DEPTH, TREES, fit_distilled
from model.training.evaluation import metrics_of, sample_of
from stream_features.vector import as_list

LOSS: Final = 0.01
"""Share by which the cascade's decisions may cost more than the full model's, on the calibration slice."""

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Teacher:
    """The full model that the others are cheaper than."""

    early: bytes
    """Its trees fitted without the calibration slice."""
    ubj: bytes
    thresholds: Thresholds


def fit_variants(
    dataset: Dataset,
    features: Matrix,
    full: Teacher,
    costs: Costs,
    seed: int,
    groups: list[str | None] | None = None,
) -> tuple[Variants, bytes]:
    """A cascade's numbers and a distilled model's, and the distilled trees as UBJSON.

    As with the full model, cut-offs are chosen on the calibration slice with models that have not seen it,
    and what is kept is then fitted on the whole train period.
    """
    distilled, trees = _distilled(dataset, features, full, costs, seed, groups)
    return Variants(
        cascade=_cascade(dataset, features, full, costs, seed, groups), distilled=distilled
    ), trees


def _cascade(
    dataset: Dataset,
    features: Matrix,
    full: Teacher,
    costs: Costs,
    seed: int,
    groups: list[str | None] | None,
) -> CascadeNumbers:
    held_out, train = dataset.calibration, dataset.train
    before = train & ~held_out
    early = fit_first_stage(features[before], dataset.known_fraud[before], seed)
    limit = choose_limit(
        early.scores(features[held_out]),
        scores_of(full.early, features[held_out]),
        dataset.amount_cents[held_out],
        dataset.known_fraud[held_out],
        costs,
        full.thresholds,
        LOSS,
    )
    first = fit_first_stage(features[train], dataset.known_fraud[train], seed)
    cascade = Cascade(first, limit, Forest(full.ubj))
    tested = features[dataset.test]
    scores = cascade.predict(tested)
    trained_on = features[train]
    rows = sample_of(cascade.predict(trained_on), trained_on)
    return CascadeNumbers(
        weight=first.weight.tolist(),
        missing=first.missing.tolist(),
        bias=first.bias,
        limit=limit,
        cheap_share=cascade.cheap_share(tested),
        metrics=metrics_of(dataset, scores, costs, full.thresholds, groups),
        sample=Sample(rows=[as_list(row) for row in rows], scores=cascade.predict(rows).tolist()),
    )


def _distilled(
    dataset: Dataset,
    features: Matrix,
    full: Teacher,
    costs: Costs,
    seed: int,
    groups: list[str | None] | None,
) -> tuple[Distilled, bytes]:
    held_out, train = dataset.calibration, dataset.train
    before = train & ~held_out
    early = _imitate(full.early, features[before], dataset.known_fraud[before], seed)
    thresholds = choose_thresholds(
        scores_of(early, features[held_out]),
        dataset.amount_cents[held_out],
        dataset.known_fraud[held_out],
        costs,
    )
    trained_on = features[train]
    ubj = _imitate(full.ubj, trained_on, dataset.known_fraud[train], seed)
    rows = sample_of(scores_of(ubj, trained_on), trained_on)
    metrics = metrics_of(dataset, scores_of(ubj, features[dataset.test]), costs, thresholds, groups)
    sample = Sample(rows=[as_list(row) for row in rows], scores=sample_scores(ubj, rows))
    return Distilled(
        trees=TREES,
        depth=DEPTH,
        thresholds=thresholds,
        metrics=metrics,
        sample=sample,
        model_sha256=sha256_of(ubj),
    ), ubj


def _imitate(teacher: bytes, features: Matrix, known_fraud: npt.NDArray[np.bool_], seed: int) -> bytes:
    return fit_distilled(features, known_fraud, scores_of(teacher, features), seed)
