"""What the study found: `result.json`."""

from typing import NamedTuple

import msgspec

from producers.ledger.comparison import Difference
from studies.frame.definition import StudyResult
from studies.frame.paired import Control


class TypologyCell(msgspec.Struct, frozen=True, kw_only=True):
    """One typology at one tempo under one regime, over all seeds."""

    typology: str
    tempo: float
    arm: str
    campaigns: int
    paid_share: float
    """Of the money that campaigns planned, percent."""
    lost: Difference
    """Paid share less that with fresh features, percentage points."""
    p: float
    """Of `lost`: the chance of such a difference without an effect."""
    first_caught_share: float
    """Campaigns stopped at their first payment, percent."""
    stopped_share: float
    stop_minutes: float | None
    duration_minutes: float
    """Median over the campaigns' planned payments."""
    gap_minutes: float

    @property
    def hatched(self) -> bool:
        """Whether there are too few campaigns to say anything."""
        return self.campaigns < LEAST_CAMPAIGNS


LEAST_CAMPAIGNS = 30
"""Cells with fewer, over all seeds, are hatched and say nothing."""


class ArmCell(msgspec.Struct, frozen=True, kw_only=True):
    """One regime at one tempo, over all seeds; money in cents per 1,000 cards and week."""

    arm: str
    tempo: float
    net_loss: float
    against_fresh: Difference
    p: float
    insults_a_week: float
    analyst_hours_a_week: float
    alert_share: float
    """Percent of the decisions."""


class Knee(msgspec.Struct, frozen=True, kw_only=True):
    """Where a typology begins to lose by staleness."""

    typology: str
    tempo: float
    minutes: float | None
    """Mean staleness at which half of the loss of the stalest job is reached; None where nothing is lost."""
    verdict: str
    """`real time matters`, `batch is as good`, `not told apart` or `too few campaigns`."""
    holds: bool = False
    """Whether `real time matters` holds among all verdicts of the page (Holm)."""


class Curve(NamedTuple):
    """Loss over staleness divided by a time of the attack."""

    spread: float
    """Share of the variance of all cells that one rising curve explains, 0 to 1."""
    points: list[tuple[float, float]]
    """(ratio, fitted loss in percentage points), ascending."""


class Sawtooth(msgspec.Struct, frozen=True, kw_only=True):
    """A job against constant delays of the same distribution; negative: the job loses less."""

    tempo: float
    period: str
    difference: Difference
    lost: Difference
    """The job against fresh features."""


class FreshnessResult(StudyResult, frozen=True, kw_only=True):
    """`result.json`."""

    tempos: list[float]
    cards: int
    days: int
    history_days: int
    fraud_scale: float
    staleness_minutes: dict[str, float]
    """Mean staleness of every sawtooth regime, as measured."""
    arms: list[ArmCell]
    typologies: list[TypologyCell]
    knees: list[Knee]
    over_duration: Curve
    """Loss over staleness divided by the attack's duration."""
    over_gap: Curve
    """Loss over staleness divided by the time between attempts."""
    controls: list[Control]
    sawtooth: list[Sawtooth]
