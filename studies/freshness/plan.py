"""What the study runs: regimes, tempos, sizes."""

from dataclasses import dataclass
from typing import Final

from simulator.regimes import REGIMES, Regime, regime_of, span, spread_ms
from stream_features.catalogue.features import HOUR, MINUTE
from studies.frame.study_world import WorldSpec

FRESH: Final = "real-time"
NULL: Final = "real-time, another fit"
"""The null twin: the same regime and world, with trees fitted by another seed."""
LONGEST: Final = 24 * HOUR
SPREAD_OF: Final = 6 * HOUR
"""The job whose sawtooth is compared with constant delays of the same distribution."""


@dataclass(frozen=True)
class FreshnessArm:
    """A regime under a name of its own."""

    regime: Regime
    fit_seed: int = 1


@dataclass(frozen=True)
class FreshnessPlan:
    """Sizes of the study. All arms of a seed and tempo see the same world."""

    periods_ms: tuple[int, ...]
    """Of the sawtooth: a job without duration, so that staleness goes from 0 to the period."""
    baselines: tuple[str, ...]
    tempos: tuple[float, ...]
    worlds: WorldSpec
    seeds: int
    most_seeds: int
    planted_share: float
    """The effect that is planted, as a share of the net loss with fresh features."""
    spread: int = 0
    """Number of constant delays that the sawtooth of `SPREAD_OF` is compared with; 0: none."""
    spread_tempos: tuple[float, ...] = ()
    width: float = 0.1
    """Seeds are added until the half-width of the stalest job's loss is at most this share of the loss with
    fresh features."""

    @property
    def jobs(self) -> dict[str, Regime]:
        """The sawtooth regimes, by name, from the freshest on."""
        regimes = [regime_of("micro-batch", period, 0) for period in self.periods_ms]
        return {f"job every {span(regime.period_ms)}": regime for regime in regimes}

    @property
    def delays(self) -> dict[str, Regime]:
        """Constant delays at the middles of equal parts of the staleness of `SPREAD_OF`."""
        times = spread_ms(regime_of("micro-batch", SPREAD_OF, 0), self.spread) if self.spread else []
        return {f"delay {span(time)}": regime_of("delayed", None, time) for time in times}

    @property
    def stalest(self) -> str:
        """The arm of the longest period."""
        return f"job every {span(max(self.periods_ms))}"

    def arms(self) -> dict[str, FreshnessArm]:
        """Every arm by its name."""
        regimes = self.jobs | {name: REGIMES[name] for name in self.baselines} | self.delays
        return {
            FRESH: FreshnessArm(REGIMES[FRESH]),
            NULL: FreshnessArm(REGIMES[FRESH], fit_seed=2),
            **{name: FreshnessArm(regime) for name, regime in regimes.items()},
        }


QUICK: Final = FreshnessPlan(
    (15 * MINUTE, 2 * HOUR, LONGEST), ("request-only", "blocklist", "score-later"), (1.0, 20.0),
    WorldSpec(1500, 30, 8, (("fraud_scale", 4.0),)), seeds=8, most_seeds=8, planted_share=0.15,
)  # fmt: skip
FULL: Final = FreshnessPlan(
    (5 * MINUTE, 15 * MINUTE, HOUR, 3 * HOUR, SPREAD_OF, LONGEST),
    ("nightly", "hybrid", "hopping", "tumbling", "request-only", "blocklist", "score-later", "card-risk"),
    (1.0, 10.0, 100.0), WorldSpec(2500, 45, 14, (("fraud_scale", 4.0),)), seeds=10, most_seeds=30,
    planted_share=0.1, spread=4, spread_tempos=(1.0, 10.0),
)  # fmt: skip
