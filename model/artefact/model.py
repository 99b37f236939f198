"""A model artefact in memory, as the scorer serves it."""

import msgspec

from fraudsim.settings import ModelKind
from model.artefact.cascade import Cascade
from model.artefact.first_stage import FirstStage
from model.artefact.manifest import Manifest
from model.forest.forest import Forest


class Model(Forest):
    """The full model, its fallback and its cheaper variants; `load_model` checks them all."""

    def __init__(
        self,
        ubj: bytes,
        fallback_ubj: bytes,
        manifest: Manifest,
        distilled_ubj: bytes | None = None,
        kind: ModelKind = "full",
    ) -> None:
        super().__init__(ubj)
        self.manifest = manifest
        self.fallback = Forest(fallback_ubj)
        """Scores by the request's own features, where the state cannot be read."""
        self.kind = kind
        self.kinds: tuple[ModelKind, ...] = ("full",)
        """The kinds that the artefact has."""
        self.thresholds = manifest.thresholds
        """Of the kind that serves; so are the metrics."""
        self.metrics = manifest.metrics
        if manifest.variants is not msgspec.UNSET and distilled_ubj is not None:
            cascade, distilled = manifest.variants.cascade, manifest.variants.distilled
            self.kinds = ("full", "cascade", "distilled")
            self.distilled_ubj = distilled_ubj
            self._distilled = Forest(distilled_ubj)
            self._first_stage = FirstStage.of(cascade.weight, cascade.missing, cascade.bias)
            self._limit = cascade.limit
            if kind == "distilled":
                self.thresholds, self.metrics = distilled.thresholds, distilled.metrics
            elif kind == "cascade":
                self.metrics = cascade.metrics

    @property
    def version(self) -> str:
        return self.manifest.version

    @property
    def serving(self) -> Forest | Cascade:
        """What scores and explains where the state can be read."""
        return self.scorer(self.kind)

    def scorer(self, kind: ModelKind) -> Forest | Cascade:
        """The scorer of one of `kinds`."""
        if kind == "cascade":
            # Not kept: it refers to this model, and the cycle would outlive reloads.
            return Cascade(self._first_stage, self._limit, self)
        return self._distilled if kind == "distilled" else self

    @property
    def variant(self) -> str:
        """The value of a decision's `variant` field."""
        return "champion" if self.kind == "full" else self.kind
