"""`result.json` of the study."""

import msgspec

from studies.frame.definition import StudyResult


class MethodFigures(msgspec.Struct, frozen=True, kw_only=True):
    """All tests of one share of B and way to look."""

    share: str
    method: str
    tests: int
    wins: int
    losses: int
    upper_bound: float
    """Of the share of tests that told equal arms apart, either way; 95 %."""
    naive: float
    """Share of tests in which a fixed 95 % interval, looked at daily, told them apart."""
    detected: dict[str, float]
    """By planted lift, share of tests that found it."""
    pair_found: float
    """Share of the pair's tests that found its better arm."""
    pair_wrong: float
    detectable_share: float


class FalseWinsResult(StudyResult, frozen=True, kw_only=True):
    """`result.json`."""

    cards: int
    days: int
    days_before: int
    world_cards: int
    alert_shares: list[float]
    cap_cents: float
    coefficient_of_variation: float
    pair_lifts: list[float]
    """B's loss less A's as a share of A's, by world, by both lives."""
    parted: float
    explained: float
    figures: list[MethodFigures]
