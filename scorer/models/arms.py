"""An arm: one model as it serves a batch, or its fallback, with the thresholds that go with its score."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fraudsim import metrics
from fraudsim.arrays import Floats
from model.artefact.calibration import Calibration
from model.artefact.cascade import Cascade
from model.artefact.model import Model
from model.artefact.thresholds import Thresholds
from model.forest.forest import Forest
from scorer.models.roles import Roles
from scorer.policy.policy import Variant


@dataclass(frozen=True, slots=True)
class Arm:
    """A forest with the calibration and the thresholds of its score."""

    model: Model
    forest: Forest | Cascade
    thresholds: Thresholds
    calibration: Calibration
    variant: str
    """The decision's `variant`: the role and kind of the model; `model_version` names the model."""

    @classmethod
    def of(cls, model: Model, variant: Variant, *, challenging: bool) -> "Arm":
        """The model where the state was read (`champion`), its fallback where not."""
        manifest = model.manifest
        if variant == "fallback":
            fallback = manifest.fallback
            return cls(model, model.fallback, fallback.thresholds, fallback.to_probability, "fallback")
        arm_variant = model.variant
        if challenging:
            arm_variant = "challenger" if model.kind == "full" else f"challenger_{model.kind}"
        return cls(model, model.serving, model.thresholds, manifest.to_probability, arm_variant)


def scores_by_roles(
    roles: Roles, variant: Variant, card_ids: Sequence[str], rows: Floats
) -> tuple[list[Arm], list[float]]:
    """The arm and the score of each row; the champion's where a challenger's score is no number.

    Args:
        rows: the vectors, shape (n, SIZE).
    """
    arm_by_index: dict[int, Arm] = {}
    scores = [0.0] * len(card_ids)
    champion = Arm.of(roles.champion, variant, challenging=False)
    for model, indices in roles.split(card_ids).items():
        arm = champion if model is roles.champion else Arm.of(model, variant, challenging=True)
        arm_rows = rows if len(indices) == len(rows) else rows[indices]
        arm_scores = arm.forest.predict(arm_rows)
        usable = np.isfinite(arm_scores)
        if arm is not champion and not usable.all():
            metrics.UNUSABLE_SCORES.labels(model.version).inc(int((~usable).sum()))
            arm_scores = np.where(usable, arm_scores, champion.forest.predict(arm_rows))
        for index, score, by_arm in zip(indices, arm_scores.tolist(), usable.tolist(), strict=True):
            scores[index], arm_by_index[index] = score, arm if by_arm else champion
    return [arm_by_index[index] for index in range(len(card_ids))], scores
