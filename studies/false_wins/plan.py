"""What the study runs: shares of B, ways to look, sizes."""

from dataclasses import dataclass
from typing import Final

from studies.frame.study_world import WorldSpec

PROMISED: Final = 0.06
"""The upper 95 % bound of the share of tests with a false win is at most this."""
LIFTS: Final = (0.1, 0.2, 0.4)
"""Planted: B's cards lose so much less."""
SHARES: Final = {"1 %": 0.01, "5 %": 0.05, "25 %": 0.25, "50 %": 0.5}
ALERT_SHARES: Final = (0.01, 0.04)
"""Of the payments that the pair's A and B may flag, by one model."""
ALL_LOSS: Final = "all loss, at any time"
TO_END: Final = "all loss, to the end"
ADJUSTED: Final = "all loss, adjusted"
PARTED: Final = "since the arms part"
PARTED_ADJUSTED: Final = "since the arms part, adjusted"
CAPPED: Final = "since the arms part, capped"
METHODS: Final = {
    ALL_LOSS: "a card's whole net loss, in an interval that holds for ever",
    TO_END: "the same, in an interval that holds until the stage's end",
    ADJUSTED: "the same, less what the card's weeks before the experiment predict (CUPED)",
    PARTED: "net loss since the card's first payment that the other model would have treated otherwise; "
    "this is the controller's",
    PARTED_ADJUSTED: "the same, less what the weeks before predict",
    CAPPED: "the same, a card counting up to the cap: the second outcome, which decides nothing",
}
OF_PAIRS: Final = frozenset({PARTED, PARTED_ADJUSTED, CAPPED})
"""Ways that say nothing of arms that never part: their equal arms are a pair whose lives are exchanged."""


@dataclass(frozen=True)
class FalseWinsPlan:
    """Sizes: each world's cards are drawn with replacement for each test, with all of their days."""

    worlds: WorldSpec
    """Their days are those before the experiment, and its own."""
    days: int
    """Of the experiment."""
    seeds: int
    tests: int
    """Of equal arms, by world and share."""
    planted_tests: int
    cards: int
    """Of one test."""


_FRAUD: Final = (("fraud_scale", 4.0),)
QUICK: Final = FalseWinsPlan(
    WorldSpec(1_000, 30, 56, _FRAUD), days=28, seeds=2, tests=100, planted_tests=40, cards=3_000
)
FULL: Final = FalseWinsPlan(
    WorldSpec(1_000, 30, 56, _FRAUD), days=28, seeds=5, tests=400, planted_tests=100, cards=3_000
)
