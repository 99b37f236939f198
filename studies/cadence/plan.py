"""What the study of cadence runs: triggers, and changes to be met. Pure data."""

from dataclasses import dataclass
from typing import Final

from lifecycle.retraining.triggers import (
    ByDrift,
    ByMoney,
    ByPerformance,
    ByPeriod,
    Never,
    RetrainingTrigger,
)
from stream_features.catalogue.features import DAY
from studies.comparison.figures import Contrast
from studies.frame.study_world import WorldSpec

NEVER: Final = "never"
NULL: Final = "never, another fit"
ORACLE: Final = "oracle"


@dataclass(frozen=True)
class CadenceArm:
    """When the model is trained anew."""

    trigger: RetrainingTrigger
    truth: bool = False
    """Whether it learns from the truth at once, as no bank can."""
    fit_seed: int = 1


@dataclass(frozen=True)
class ChangedFraud:
    """How fraud changes at `change_week`: parameters of the other world; none for no change."""

    world: tuple[tuple[str, float], ...] = ()
    amounts: float = 1.0
    """Factor that all amounts reach gradually within 12 weeks."""


@dataclass(frozen=True)
class CadencePlan:
    """Sizes of the study."""

    first_seed: int
    spec: WorldSpec
    change_week: int
    """Counted from the first week that is decided."""
    periods_days: tuple[int, ...]
    seeds: int
    most_seeds: int

    def arms(self) -> dict[str, CadenceArm]:
        """Every arm by name."""
        arms = {NEVER: CadenceArm(Never()), NULL: CadenceArm(Never(), fit_seed=2)}
        for days in self.periods_days:
            arms[f"every {days}d"] = CadenceArm(ByPeriod(days * DAY))
        arms["drift"] = CadenceArm(ByDrift())
        arms["performance"] = CadenceArm(ByPerformance())
        arms["money"] = CadenceArm(ByMoney())
        arms[ORACLE] = CadenceArm(ByPeriod(7 * DAY), truth=True)
        return arms

    def conditions(self) -> dict[str, ChangedFraud]:
        """Every change by name."""
        return {
            "no change": ChangedFraud(),
            "fraud hides better": ChangedFraud((("camouflage", 0.9), ("fraud_scale", 6.0))),
            "amounts rise": ChangedFraud(amounts=1.5),
        }

    def contrasts(self) -> list[Contrast]:
        """Every trigger against never, under each change."""
        return [
            Contrast(f"{arm}, {condition}", arm, NEVER, condition)
            for condition in self.conditions()
            for arm in self.arms()
            if arm not in (NEVER, NULL)
        ]


_WORLD: Final = (("fraud_scale", 4.0),)
QUICK: Final = CadencePlan(1, WorldSpec(250, 60, 126, _WORLD), 11, (28,), seeds=2, most_seeds=2)
FULL: Final = CadencePlan(101, WorldSpec(400, 75, 168, _WORLD), 12, (28,), seeds=5, most_seeds=5)
"""Worlds from 101 on, since the first ones have been looked at; 40 CPU minutes by the cost of `QUICK`."""
