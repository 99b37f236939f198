"""What is played: a world whose fraud begins to hide, and how long it is watched. Pure."""

from dataclasses import dataclass
from typing import Final

from producers.scenario.schema import Attack, Script
from producers.world.world import World

CAMOUFLAGE: Final = 1.0
"""Of the attacks."""
HISTORY: Final = {"camouflage": 0.0, "fraud_scale": 4.0}
"""The world's own fraud, before and after: so much that a small world can learn from it, and none hides."""
ATTACKS: Final = (
    ("leaked_card", 3, 1, 9),
    ("push_scam", 1, 1, 12),
    ("refund_abuse", 1, 3, 10),
    ("device_ring", 1, 3, 11),
)
"""Typology, campaigns at a time, every so many days, at so many hours of the day."""


@dataclass(frozen=True)
class TimelinePlan:
    """Sizes of a timeline."""

    weeks: int = 23
    change_week: int = 11
    """The first week with attacks; two weeks for labels and eight of reference come before."""
    cards: int = 200
    history_days: int = 75
    rate: float = 100.0
    """Payments of the world per wall second; the attacks come on top."""

    def script(self) -> Script:
        """The attacks of every day from the change on."""
        attacks = [
            Attack(typology=typology, at=f"{24 * day + hour}h", campaigns=campaigns, camouflage=CAMOUFLAGE)
            for day in range(7 * self.change_week, 7 * self.weeks)
            for typology, campaigns, every, hour in ATTACKS
            if (day - 7 * self.change_week) % every == 0
        ]
        return Script(version=1, events=list(attacks))

    def seconds(self, world: World) -> float:
        """Wall seconds in which the world's payments of these weeks are sent at the rate."""
        days = range(self.history_days, self.history_days + 7 * self.weeks)
        return sum(len(world.day(day).transactions.ts) for day in days) / self.rate
