"""`result.json` of the study."""

import msgspec

from studies.bad_models.gates import ModelWay
from studies.frame.definition import StudyResult


class WaysOfModel(msgspec.Struct, frozen=True, kw_only=True):
    """One model's way in each world, by seed."""

    name: str
    ways: list[ModelWay]

    @property
    def stopped(self) -> int:
        """Worlds in which it was stopped before 25 %."""
        return sum(way.stopped_before_25 for way in self.ways)


class BadModelsResult(StudyResult, frozen=True, kw_only=True):
    """`result.json`."""

    cards: int
    stages: str
    models: list[WaysOfModel]
