"""`result.json` of the study."""

from studies.drift.statistics import Detection, FalseAlarms
from studies.frame.definition import StudyResult


class DriftResult(StudyResult, frozen=True, kw_only=True):
    """The study's figures."""

    cards: int
    quiet_weeks: int
    weeks_after: int
    false_alarms: list[FalseAlarms]
    detections: list[Detection]
