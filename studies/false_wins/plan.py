"""What the study runs: shares of B, sizes."""

from dataclasses import dataclass
from typing import Final

from studies.frame.study_world import WorldSpec

PROMISED: Final = 0.06
"""The upper 95 % bound of the share of tests with a false win is at most this."""
LIFTS: Final = (0.1, 0.2, 0.4)
"""Planted: B's cards lose so much less."""
SHARES: Final = {"1 %": 0.01, "5 %": 0.05, "25 %": 0.25, "50 %": 0.5}


@dataclass(frozen=True)
class FalseWinsPlan:
    """Sizes: each world's cards are drawn with replacement for each test, with all of their days."""

    worlds: WorldSpec
    seeds: int
    tests: int
    """Of equal arms, by world and share."""
    planted_tests: int
    cards: int
    """Of one test."""


_FRAUD: Final = (("fraud_scale", 4.0),)
QUICK: Final = FalseWinsPlan(
    WorldSpec(1_000, 30, 28, _FRAUD), seeds=5, tests=400, planted_tests=20, cards=3_000
)
FULL: Final = FalseWinsPlan(
    WorldSpec(4_000, 45, 28, _FRAUD), seeds=10, tests=1_000, planted_tests=200, cards=10_000
)
