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
    tempos: tuple[float, ...]
    fraud_scales: tuple[float, ...]
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
        return {
            condition_name(tempo, scale): (tempo, scale)
            for scale in self.fraud_scales
            for tempo in self.tempos
        }

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
    (15 * MINUTE, 2 * HOUR, DAY), (1.0, 20.0), (4.0,), WorldSpec(1200, 35, 8), seeds=6, most_seeds=6
)
FULL: Final = ValuePlan(
    (15 * MINUTE, HOUR, 6 * HOUR, DAY), (1.0, 20.0), (1.0, 4.0), WorldSpec(2500, 40, 14), seeds=8,
    most_seeds=12,
)  # fmt: skip
