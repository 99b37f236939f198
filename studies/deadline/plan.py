"""What the study of deadlines runs: a live line under load, and partly degraded twins."""

from dataclasses import dataclass
from typing import Final

from studies.comparison.figures import Contrast
from studies.frame.study_world import WorldSpec

WHOLE: Final = "nothing degraded"
NULL: Final = "nothing degraded, another fit"
LIVE: Final = "live"
TWINS: Final = "twins"


@dataclass(frozen=True)
class TwinArm:
    """A share of the decisions that see the request alone."""

    degraded: float
    fit_seed: int = 1


@dataclass(frozen=True)
class LiveLoads:
    """The live half: one line for each of the first seeds, its scorer started anew for each deadline."""

    deadlines_ms: tuple[int, ...]
    rates: tuple[int, ...]
    """Requests a second, Poisson arrivals over HTTP."""
    seconds: float
    lines: int


@dataclass(frozen=True)
class DeadlinePlan:
    """Sizes of the study."""

    degraded: tuple[float, ...]
    load: LiveLoads
    spec: WorldSpec
    seeds: int
    most_seeds: int

    def twins(self) -> dict[str, TwinArm]:
        """The twins by name."""
        degraded = {share_name(share): TwinArm(share) for share in self.degraded}
        return {WHOLE: TwinArm(0.0), NULL: TwinArm(0.0, fit_seed=2), **degraded}

    def contrasts(self) -> list[Contrast]:
        """Every share against none."""
        return [Contrast(share_name(share), share_name(share), WHOLE, TWINS) for share in self.degraded]


def share_name(share: float) -> str:
    """The arm of a share."""
    return f"{share:.0%} degraded"


def load_name(deadline_ms: int, rate: int) -> str:
    """The measure of a deadline and a rate: percent of the decisions that were degraded."""
    return f"degraded {deadline_ms} ms {rate}/s"


def refused_name(deadline_ms: int, rate: int) -> str:
    """The measure that says whether the load refused itself: 1 where its own check was not passed, or 0."""
    return f"refused {deadline_ms} ms {rate}/s"


_WORLD: Final = (("fraud_scale", 4.0),)
QUICK: Final = DeadlinePlan(
    (0.1, 0.5, 1.0),
    LiveLoads((5, 50), (200, 1_500), seconds=5.0, lines=1),
    WorldSpec(1500, 40, 28, _WORLD),
    8,
    8,
)
FULL: Final = DeadlinePlan(
    (0.01, 0.1, 0.5, 1.0), LiveLoads((5, 10, 20, 50), (200, 1_000, 2_000, 4_000), seconds=10.0, lines=5),
    WorldSpec(2000, 40, 28, _WORLD), 8, 12,
)  # fmt: skip
