"""What the study of value runs: real time and jobs, by tempo and by how much fraud there is."""

from dataclasses import dataclass, replace
from typing import Final

from simulator.regimes import REGIMES, Regime, regime_of, span
from stream_features.catalogue.features import DAY, HOUR, MINUTE
from studies.comparison.figures import Contrast
from studies.frame.study_world import WorldSpec

FRESH: Final = "real-time"
NULL: Final = "real-time, another fit"


@dataclass(frozen=True)
class ValueArm:
    """A regime."""

    regime: Regime
    fit_seed: int = 1


@dataclass(frozen=True)
class ValuePlan:
    """Sizes of the study."""

    periods_ms: tuple[int, ...]
    worlds: tuple[tuple[float, float], ...]
    """Tempo and scale of the fraud of each condition."""
    spec: WorldSpec
    seeds: int
    most_seeds: int

    def arms(self) -> dict[str, ValueArm]:
        """Every arm by name."""
        fresh = REGIMES[FRESH]
        jobs = {job_name(period): ValueArm(regime_of("micro-batch", period, 0)) for period in self.periods_ms}
        return {FRESH: ValueArm(fresh), NULL: ValueArm(fresh, fit_seed=2), **jobs}

    def conditions(self) -> dict[str, tuple[float, float]]:
        """Tempo and scale of the fraud of each condition."""
        return {condition_name(tempo, scale): (tempo, scale) for tempo, scale in self.worlds}

    def contrasts(self) -> list[Contrast]:
        """Every job against real time."""
        return [
            Contrast(f"{job_name(period)}, {condition}", job_name(period), FRESH, condition)
            for condition in self.conditions()
            for period in self.periods_ms
        ]

    def spec_at(self, condition: str) -> WorldSpec:
        """The worlds of a condition."""
        tempo, scale = self.conditions()[condition]
        return replace(self.spec, world=(*self.spec.world, ("tempo", tempo), ("fraud_scale", scale)))


def job_name(period_ms: int) -> str:
    """The name of the arm of a job."""
    return f"job every {span(period_ms)}"


def condition_name(tempo: float, scale: float) -> str:
    """The name of a tempo and a scale of the fraud."""
    return f"tempo {tempo:g}, fraud x{scale:g}"


QUICK: Final = ValuePlan(
    (15 * MINUTE, HOUR, DAY), ((1.0, 4.0), (20.0, 4.0)), WorldSpec(1200, 35, 14), seeds=4, most_seeds=4
)
FULL: Final = ValuePlan(
    (15 * MINUTE, HOUR, DAY), ((1.0, 1.0), (1.0, 4.0), (20.0, 4.0)), WorldSpec(2000, 40, 28), seeds=8,
    most_seeds=16,
)  # fmt: skip
