"""`result.json` of the study."""

import msgspec

from studies.frame.definition import StudyResult


class ShareFigures(msgspec.Struct, frozen=True, kw_only=True):
    """All tests of one share of B."""

    share: str
    tests: int
    wins: int
    losses: int
    upper_bound: float
    """Of the share of tests that told equal arms apart, either way; 95 %."""
    naive: float
    """Share of tests in which a fixed 95 % interval, looked at daily, told them apart."""
    detected: dict[str, float]
    detectable_share: float


class FalseWinsResult(StudyResult, frozen=True, kw_only=True):
    """`result.json`."""

    cards: int
    days: int
    world_cards: int
    coefficient_of_variation: float
    shares: list[ShareFigures]
