"""Guards: rates that a bank can observe, compared between the arms at every look. Pure."""

import math
from collections.abc import Mapping
from typing import Final

import msgspec

from lifecycle.evidence.card_tallies import CardTallies
from lifecycle.evidence.confidence import SummedDifference, interval, ratio_difference, tuning

GUARD_ALPHA: Final = 0.002
"""Of one guard in one stage: 8 guards in 3 stages come to 5 %."""
LEAST_EVENTS: Final = 20
"""A rate is compared from so many events of its denominator in each arm on."""
GROWTH: Final = 4.0
"""The bound is tightest when a stage has four times the variance of its first look."""


class GuardRule(msgspec.Struct, frozen=True, kw_only=True):
    """One rate, and how far B's may be from A's."""

    name: str
    numerator: str
    denominator: str
    lower: float | None
    """B's rate may be less by this share of A's; None: as low as it likes."""
    upper: float | None
    least: float = 0.0
    """Absolute margin below which nothing counts, whatever the share is."""


GUARDS: Final = tuple(
    GuardRule(name=name, numerator=numerator, denominator=denominator, lower=lower, upper=upper, least=least)
    for name, numerator, denominator, lower, upper, least in (
        ("decline", "declines", "payments", None, 0.25, 0.002),
        ("alert", "alerts", "payments", 0.35, 0.35, 0.003),
        ("step-up denial", "denials", "step_ups", 0.35, None, 0.01),
        ("analyst clear", "cleared", "verdicts", None, 0.2, 0.05),
        ("reported fraud", "reports", "payments", None, 0.25, 0.0005),
        ("error", "errors", "payments", None, 0.0, 0.001),
        ("latency", "slow", "timed", None, 0.25, 0.01),
    )
)
"""A decline that a block of the card makes is no decline of the policy, and no alert."""


class GuardReading(msgspec.Struct, frozen=True, kw_only=True):
    """One guard at one look."""

    name: str
    rate_of_a: float
    rate_of_b: float
    low: float
    """Of B less A, an interval that holds at all looks of the stage."""
    high: float
    allowed: tuple[float | None, float | None]
    """Least and largest difference; None: any."""
    crossed: bool

    @property
    def text(self) -> str:
        least, most = ("any" if end is None else f"{end:+.4f}" for end in self.allowed)
        return (
            f"{self.name} rate {self.rate_of_b:.4f} against {self.rate_of_a:.4f} (difference {self.low:+.4f} "
            f"to {self.high:+.4f}, allowed {least} to {most})"
        )


def read_guard(guard: GuardRule, tallies: CardTallies, mixtures: dict[str, float]) -> GuardReading | None:
    """The guard's reading; None where too little has been seen.

    Args:
        mixtures: λ by guard, fixed at the first look of a stage; the guard's is added.
    """
    in_b, numerator, denominator = tallies.in_b, tallies[guard.numerator], tallies[guard.denominator]
    if not len(tallies) or min(denominator[in_b].sum(), denominator[~in_b].sum()) < LEAST_EVENTS:
        return None
    estimate: SummedDifference = ratio_difference(numerator, denominator, in_b)
    if not math.isfinite(estimate.variance):
        return None
    if estimate.intrinsic_time > 0:
        mixtures.setdefault(guard.name, tuning(GROWTH * estimate.intrinsic_time, GUARD_ALPHA))
    mixture = mixtures.get(guard.name)
    low = high = estimate.difference
    if mixture is not None:
        _, low, high = interval(estimate, mixture, GUARD_ALPHA)
    rate_of_a = float(numerator[~in_b].sum() / denominator[~in_b].sum())
    rate_of_b = float(numerator[in_b].sum() / denominator[in_b].sum())
    least = None if guard.lower is None else -max(guard.least, guard.lower * rate_of_a)
    most = None if guard.upper is None else max(guard.least, guard.upper * rate_of_a)
    return GuardReading(
        name=guard.name,
        rate_of_a=rate_of_a,
        rate_of_b=rate_of_b,
        low=low,
        high=high,
        allowed=(least, most),
        crossed=(most is not None and low > most) or (least is not None and high < least),
    )


def read_guards(tallies: CardTallies, mixtures: dict[str, float]) -> Mapping[str, GuardReading]:
    """All guards that can be read."""
    readings = ((guard.name, read_guard(guard, tallies, mixtures)) for guard in GUARDS)
    return {name: reading for name, reading in readings if reading is not None}
