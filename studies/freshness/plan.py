"""What the study runs: regimes, tempos, seeds; and the fingerprint by which figures are found again."""

import hashlib
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from fraudsim.settings import Settings
from simulator.regimes import REGIMES, Regime, regime_of, span, spread_ms
from stream_features.catalogue.features import HOUR, MINUTE

ROOMS: Final = ("fraudsim", "producers", "stream_features", "model", "scorer", "simulator")
"""Rooms whose code a run's figures depend on, beside this package."""
FRESH: Final = "real-time"
NULL: Final = "real-time, another fit"
"""The null study: the same regime, with trees fitted by another seed."""
LONGEST: Final = 24 * HOUR
SPREAD_OF: Final = 6 * HOUR
"""The job whose sawtooth is compared with constant delays of the same distribution."""


@dataclass(frozen=True)
class Twin:
    """One of the twins: a regime under a name of its own."""

    name: str
    regime: Regime
    fit_seed: int = 1


@dataclass(frozen=True)
class StudyPlan:
    """Sizes of the study. All twins of a seed see the same world."""

    name: str
    periods_ms: tuple[int, ...]
    """Of the sawtooth: a job without duration, so that staleness goes from 0 to the period."""
    baselines: tuple[str, ...]
    tempos: tuple[float, ...]
    seeds: int
    """The first of them; more are added while intervals are wide."""
    most_seeds: int
    cards: int
    history_days: int
    days: int
    fraud_scale: float
    spread: int = 0
    """Number of constant delays that the sawtooth of `SPREAD_OF` is compared with; 0: none."""
    width: float = 0.1
    """Seeds are added until the half-width of the stalest job's loss is at most this share of the loss with
    fresh features."""

    def arms(self) -> list[Twin]:
        """Every twin of a seed and tempo."""
        jobs = [regime_of("micro-batch", period, 0) for period in self.periods_ms]
        delays = spread_ms(regime_of("micro-batch", SPREAD_OF, 0), self.spread) if self.spread else []
        return [
            Twin(FRESH, REGIMES[FRESH]),
            Twin(NULL, REGIMES[FRESH], fit_seed=2),
            *(Twin(f"job every {span(job.period_ms)}", job) for job in jobs),
            *(Twin(name, REGIMES[name]) for name in self.baselines),
            *(Twin(f"delay {span(delay)}", regime_of("delayed", None, delay)) for delay in delays),
        ]


QUICK: Final = StudyPlan(
    "quick", (15 * MINUTE, 2 * HOUR, LONGEST), ("request-only", "blocklist", "score-later"), (1.0, 20.0),
    seeds=3, most_seeds=3, cards=1500, history_days=30, days=8, fraud_scale=4.0,
)  # fmt: skip
FULL: Final = StudyPlan(
    "full", (5 * MINUTE, 15 * MINUTE, HOUR, 3 * HOUR, SPREAD_OF, 12 * HOUR, LONGEST),
    ("nightly", "hybrid", "hopping", "tumbling", "request-only", "blocklist", "score-later", "card-risk"),
    (0.2, 1.0, 10.0, 100.0), seeds=6, most_seeds=30, cards=2500, history_days=45, days=14,
    fraud_scale=4.0, spread=4,
)  # fmt: skip


@dataclass(frozen=True)
class StudyCell:
    """One run: an arm in the world of a seed and a tempo."""

    arm: Twin
    seed: int
    tempo: float

    def file_name(self, plan: StudyPlan, settings: Settings) -> str:
        """The name of its figures' file: it changes with code, settings, plan and regime."""
        sizes = [plan.cards, plan.history_days, plan.days, plan.fraud_scale]
        content = [code_fingerprint(), sizes, asdict(self), settings_of(settings)]
        return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()[:24] + ".json"


def settings_of(settings: Settings) -> dict[str, object]:
    """The settings that the figures depend on."""
    return {
        "world": settings.world, "label_delays": settings.label_delays, "consequences": settings.consequences,
        "policy": str(settings.policy), "label_gap_days": settings.label_gap_days,
    }  # fmt: skip


@lru_cache
def code_fingerprint() -> str:
    """Hash of the code that the figures depend on, 16 hex digits."""
    root, digest = Path(__file__).parents[2], hashlib.sha256()
    folders = [*(root / room for room in ROOMS), Path(__file__).parent]
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            if path.parent == Path(__file__).parent and path.stem in ("page", "figures", "study"):
                continue
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
