"""What the study of windows runs: kinds of windows. Pure data."""

from dataclasses import dataclass
from typing import Final

from simulator.regimes import REGIMES, Regime, regime_of, span
from stream_features.catalogue.features import DAY, HOUR, MINUTE
from studies.comparison.figures import Contrast
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
    spec: WorldSpec
    seeds: int
    most_seeds: int

    def arms(self) -> dict[str, WindowsArm]:
        """Every arm by name."""
        exact = REGIMES["real-time"]
        hopping = {hop_name(hop): WindowsArm(regime_of("hopping", hop)) for hop in self.hops_ms}
        return {
            EXACT: WindowsArm(exact), NULL: WindowsArm(exact, fit_seed=2), **hopping,
            TUMBLING: WindowsArm(REGIMES["tumbling"]),
        }  # fmt: skip

    def contrasts(self) -> list[Contrast]:
        """Every kind against exact windows."""
        names = [*(hop_name(hop) for hop in self.hops_ms), TUMBLING]
        return [Contrast(f"{name} against exact", name, EXACT) for name in names]


def hop_name(hop_ms: int) -> str:
    """The name of the arm with this hop."""
    return f"hopping {span(hop_ms)}"


_WORLD: Final = (("fraud_scale", 4.0),)
QUICK: Final = WindowsPlan((5 * MINUTE, HOUR), WorldSpec(1500, 40, 10, _WORLD), seeds=8, most_seeds=8)
FULL: Final = WindowsPlan(
    (MINUTE, 5 * MINUTE, HOUR, 6 * HOUR, DAY), WorldSpec(2500, 45, 14, _WORLD), seeds=10, most_seeds=20
)
