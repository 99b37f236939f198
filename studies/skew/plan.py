"""What the study of skew runs: for each regime a matched model and a skewed one. Pure data."""

from dataclasses import dataclass, replace
from typing import Final

from simulator.regimes import REGIMES, Regime, regime_of, span
from stream_features.catalogue.features import HOUR
from studies.comparison.figures import RANKING, Contrast
from studies.frame.file_world import FileSpec
from studies.frame.study_world import WorldSpec

FRESH: Final = "real-time"
NULL: Final = "real-time, another fit"
REVERSED: Final = "real-time, trained nightly"


@dataclass(frozen=True)
class SkewArm:
    """A regime that serves, and the one whose features the model has learnt from."""

    serves: Regime
    trained: Regime
    fit_seed: int = 1
    new_bar: bool = False
    """Whether the bar is set anew, on features as they are served."""


@dataclass(frozen=True)
class SkewPlan:
    """Sizes of the study."""

    served: tuple[Regime, ...]
    spec: WorldSpec | FileSpec
    seeds: int
    most_seeds: int

    def arms(self) -> dict[str, SkewArm]:
        """Every arm by name."""
        fresh = REGIMES[FRESH]
        arms = {FRESH: SkewArm(fresh, fresh), NULL: SkewArm(fresh, fresh, fit_seed=2)}
        arms[REVERSED] = SkewArm(fresh, REGIMES["nightly"], new_bar=True)
        for regime in self.served:
            name = served_name(regime)
            arms[f"{name}, matched"] = SkewArm(regime, regime)
            arms[f"{name}, skewed"] = SkewArm(regime, fresh)
            arms[f"{name}, skewed, new bar"] = SkewArm(regime, fresh, new_bar=True)
        return arms

    def contrasts(self) -> list[Contrast]:
        """What the regime costs, what skew adds, and the reverse; all but the bar in ranking too."""
        contrasts = []
        for regime in self.served:
            name = served_name(regime)
            contrasts += [
                Contrast(f"{name}: stale, matched", f"{name}, matched", FRESH),
                Contrast(f"{name}: skew, same bar", f"{name}, skewed", f"{name}, matched"),
                Contrast(f"{name}: skew, new bar", f"{name}, skewed, new bar", f"{name}, matched"),
            ]
        contrasts.append(Contrast("real-time: trained nightly", REVERSED, FRESH))
        return contrasts + [
            replace(contrast, name=f"{contrast.name}, ranking", measure=RANKING)
            for contrast in contrasts
            if not contrast.name.endswith("same bar")
        ]


def served_name(regime: Regime) -> str:
    """A regime's name; that of a job with its period."""
    return f"job every {span(regime.period_ms)}" if regime.name == "micro-batch" else regime.name


_WORLD: Final = (("fraud_scale", 4.0),)
QUICK: Final = SkewPlan(
    (REGIMES["nightly"], REGIMES["tumbling"]), WorldSpec(1500, 40, 14, _WORLD), seeds=4, most_seeds=4
)
FULL: Final = SkewPlan(
    (regime_of("micro-batch", HOUR), REGIMES["nightly"], REGIMES["hybrid"], REGIMES["tumbling"]),
    WorldSpec(2000, 40, 28, _WORLD), seeds=8, most_seeds=16,
)  # fmt: skip
