"""What a timeline says, as JSON."""

from pathlib import Path
from typing import Literal

import msgspec

MarkKind = Literal["change", "alarm", "retraining", "rejected", "failed", "shadow", "dropped", "promotion"]


class TimelineWeek(msgspec.Struct, frozen=True, kw_only=True):
    """One week of event time; money is in cents per 1,000 cards and week, by the truth."""

    number: int
    start_ms: int
    payments: int
    frauds: int
    fraud_paid: int
    insults: int
    friction: int
    reviews: int
    first_champion: int
    """What the cheapest actions by the first champion's probabilities cost, on the vectors served."""
    last_champion: int
    """The same of the model that decided at the end, also for the weeks before it was trained."""
    status: str = ""
    """What the weekly detector says; empty where it says nothing."""
    furthest: str = ""
    """The signal furthest beyond its limit; empty where none is."""

    @property
    def net_loss(self) -> int:
        return self.fraud_paid + self.insults + self.friction + self.reviews


class TimelineMark(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened, in event time."""

    at_ms: int
    kind: MarkKind
    text: str


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """`timeline.json`."""

    start_ms: int
    cards: int
    rate: float
    """Payments per wall second, attacks included."""
    speed: float
    """Event seconds per wall second."""
    wall_seconds: float
    p99_ms: float | None
    """Latency of the decisions meanwhile, wall clock."""
    lost: int
    parity_mismatches: int
    first_champion: str
    last_champion: str
    weeks: list[TimelineWeek]
    marks: list[TimelineMark]

    def first(self, kind: MarkKind) -> TimelineMark | None:
        """The first mark of a kind."""
        return next((mark for mark in self.marks if mark.kind == kind), None)

    def mean_net_loss(self, from_ms: int, until_ms: int) -> float | None:
        """Mean over the whole weeks of an interval, cents per 1,000 cards and week; None without any."""
        week_ms = 7 * 86_400_000
        losses = [
            w.net_loss for w in self.weeks if from_ms <= w.start_ms and w.start_ms + week_ms <= until_ms
        ]
        return sum(losses) / len(losses) if losses else None


def read_timeline(path: Path) -> Timeline:
    """A timeline as written."""
    return msgspec.json.decode(path.read_bytes(), type=Timeline)
