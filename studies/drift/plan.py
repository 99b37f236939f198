"""What the study runs: scenarios of change, and how many weeks of each."""

from dataclasses import dataclass
from typing import Final

from dashboards.drift.decided_weeks import WEEKS_BEFORE
from dashboards.drift.detector import FEWEST_WEEKS
from producers.scenario.schema import Drift
from simulator.line.drifted_traffic import BrokenFeed

NONE: Final = "none"
UNSEEN_WEEKS: Final = WEEKS_BEFORE + FEWEST_WEEKS
"""Weeks before the first that is tested: those for labels only, and the reference."""
QUIET_WEEKS: Final = 4
"""Tested weeks before a change begins."""
FIRST_DAY: Final = 19_723
"""A Monday; the world of a seed begins `WEEKS_APART` times as many weeks later."""
WEEKS_APART: Final = 11
"""Has no factor in common with 52, so that the references of worlds are spread over the year."""


@dataclass(frozen=True)
class ChangeScenario:
    """What changes, from `QUIET_WEEKS` tested weeks on."""

    summary: str
    drift: Drift | None = None
    feed: BrokenFeed | None = None


def scenarios(weeks_after: int) -> dict[str, ChangeScenario]:
    """Every scenario by name."""
    begin = 7 * (UNSEEN_WEEKS + QUIET_WEEKS)
    start, end, ramp = f"{begin}d", f"{begin + 7 * weeks_after + 7}d", f"{begin + 84}d"
    return {
        NONE: ChangeScenario("nothing but seasons, holidays, sales and pay-days"),
        "gradual": ChangeScenario(
            "all amounts rise by half within 12 weeks",
            Drift(kind="gradual", from_=start, until=ramp, amounts=1.5),
        ),
        "sudden": ChangeScenario(
            "all amounts rise by three tenths", Drift(kind="sudden", from_=start, until=end, amounts=1.3)
        ),
        "category": ChangeScenario(
            "amounts of fuel double",
            Drift(kind="sudden", from_=start, until=end, amounts=2.0, category="fuel"),
        ),
        "feed": ChangeScenario(
            "a fifth of the device ids is missing", feed=BrokenFeed("device_id", begin, 0.2)
        ),
    }


@dataclass(frozen=True)
class DriftPlan:
    """Sizes of the study."""

    first_seed: int
    seeds: int
    quiet_weeks: int
    """Tested weeks without a change."""
    weeks_after: int
    """Tested weeks from a change on."""
    cards: int
    history_days: int
    """A model is trained on them, and its vectors are a reference as well."""

    def days(self, scenario: str) -> int:
        """Days that are decided."""
        tested = self.quiet_weeks if scenario == NONE else QUIET_WEEKS + self.weeks_after
        return 7 * (UNSEEN_WEEKS + tested)


QUICK: Final = DriftPlan(1, seeds=2, quiet_weeks=26, weeks_after=8, cards=300, history_days=90)
FULL: Final = DriftPlan(101, seeds=20, quiet_weeks=52, weeks_after=12, cards=300, history_days=90)
"""Worlds from 101 on: the floors were set while looking at the first ones."""
