"""`result.json` of the study; money in cents per 1,000 cards and week, B less A."""

import msgspec

from producers.ledger.comparison import Difference
from studies.frame.definition import StudyResult


class DesignFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One design under one condition."""

    design: str
    condition: str
    lift: Difference
    """All B less all A: the truth."""
    estimate: Difference
    """What the design says."""
    bias: Difference
    """The estimate less the truth, paired by seed."""


class WorldLift(msgspec.Struct, frozen=True, kw_only=True):
    """One world: what each way says of the same pair."""

    seed: int
    offline: float
    """B's answers to what A decided, by the truth, nothing run again."""
    experiment: float
    """By card, both halves."""
    one_half: float
    """By card, as one experiment would see it."""
    online: float


class InterferenceResult(StudyResult, frozen=True, kw_only=True):
    """`result.json`."""

    cards: int
    days: int
    alert_shares: list[float]
    loss_of_a: float
    reviews: float
    """Under B, a run."""
    designs: list[DesignFigures]
    removed: dict[str, Difference]
    """By condition, how much of the bias between cards it takes away."""
    one_desk: Difference
    """What the bias between cards would be more if both arms waited for the same analysts."""
    lifts: list[WorldLift]
