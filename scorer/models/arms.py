"""An arm: one model as it serves a batch, or its fallback, with the thresholds that go with its score."""

from dataclasses import dataclass

from model.artefact.calibration import Calibration
from model.artefact.cascade import Cascade
from model.artefact.model import Model
from model.artefact.thresholds import Thresholds
from model.forest.forest import Forest
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
