"""What the study of windows runs: kinds of windows. Pure data."""

from dataclasses import dataclass, replace
from typing import Final

from simulator.regimes import REGIMES, Regime, regime_of, span
from stream_features.catalogue.features import DAY, HOUR, MINUTE
from studies.comparison.figures import NET_LOSS, RANKING, Contrast
from studies.frame.file_world import FileSpec
from studies.frame.study_world import WorldSpec

EXACT: Final = "exact"
NULL: Final = "exact, another fit"
TUMBLING: Final = "tumbling"


@dataclass(frozen=True)
class WindowsArm:
    """A kind of windows."""

    regime: Regime
    fit_seed: int = 1


@dataclass(frozen=True)
class WindowsPlan:
    """Sizes of the study."""

    hops_ms: tuple[int, ...]
    spec: WorldSpec | FileSpec
    seeds: int
    most_seeds: int
    tempos: tuple[float, ...] = (1.0,)
    """How fast attacks go; those of a public file go as they went."""

    def conditions(self) -> dict[str, float]:
        """The tempo of each condition."""
        return {tempo_name(tempo): tempo for tempo in self.tempos}

    def spec_at(self, condition: str) -> WorldSpec | FileSpec:
        """The worlds of a condition."""
        if isinstance(self.spec, FileSpec):
            return self.spec
        return replace(self.spec, world=(*self.spec.world, ("tempo", self.conditions()[condition])))

    def arms(self) -> dict[str, WindowsArm]:
        """Every arm by name."""
        exact = REGIMES["real-time"]
        hopping = {hop_name(hop): WindowsArm(regime_of("hopping", hop)) for hop in self.hops_ms}
        return {
            EXACT: WindowsArm(exact), NULL: WindowsArm(exact, fit_seed=2), **hopping,
            TUMBLING: WindowsArm(REGIMES["tumbling"]),
        }  # fmt: skip

    def contrasts(self) -> list[Contrast]:
        """Every kind against exact windows, in money and in ranking."""
        names = [*(hop_name(hop) for hop in self.hops_ms), TUMBLING]
        return [
            Contrast(contrast_name(name, condition, measure), name, EXACT, condition, measure=measure)
            for measure in (NET_LOSS, RANKING)
            for condition in self.conditions()
            for name in names
        ]


def tempo_name(tempo: float) -> str:
    """The condition of a tempo."""
    return f"tempo {tempo:g}"


def contrast_name(kind: str, condition: str, measure: str) -> str:
    """The contrast of a kind of windows with exact ones."""
    return f"{kind}, {condition}" + (", ranking" if measure == RANKING else "")


def hop_name(hop_ms: int) -> str:
    """The name of the arm with this hop."""
    return f"hopping {span(hop_ms)}"


_WORLD: Final = (("fraud_scale", 4.0),)
QUICK: Final = WindowsPlan((5 * MINUTE, HOUR), WorldSpec(1500, 40, 14, _WORLD), seeds=4, most_seeds=4)
FULL: Final = WindowsPlan(
    (5 * MINUTE, HOUR, DAY), WorldSpec(2000, 40, 28, _WORLD), seeds=8, most_seeds=16, tempos=(1.0, 10.0)
)
