"""Net loss of both arms at a look: the difference that decides, and two that are shown beside it. Pure."""

import math
from collections.abc import Iterator
from typing import Final

import msgspec
import numpy as np

from fraudsim.arrays import Doubles
from lifecycle.evidence.card_tallies import CardTallies
from lifecycle.evidence.confidence import (
    EARLY_ALPHA,
    AnytimeInterval,
    SummedDifference,
    detectable_in_stage,
    mean_difference,
    stage_interval,
    tuning,
)
from lifecycle.evidence.guards import GROWTH

LEAST_CARDS: Final = 30
"""Cards of each arm on which the arms have parted, before money is read at all."""
CAP_CENTS: Final = 50_000
"""A card counts with at most so much in the capped outcome."""


class DifferenceReading(msgspec.Struct, frozen=True, kw_only=True):
    """A difference that is shown and decides nothing; cents per card and week."""

    difference: float
    low: float
    high: float

    @property
    def text(self) -> str:
        """In currency units per 1,000 cards and week."""
        return f"{10 * self.difference:+,.2f} ({10 * self.low:+,.2f} to {10 * self.high:+,.2f})"


class OfflineGain(msgspec.Struct, frozen=True, kw_only=True):
    """What was said before or beside the experiment; cents per card and week."""

    method: str
    """`twin run`, `off-policy` or `replay`; where there is no figure, why."""
    gain: DifferenceReading | None = None


class MoneyReading(msgspec.Struct, frozen=True, kw_only=True):
    """Net loss at a look; cents per card and week. All cards count, those on which no arm differed with 0."""

    loss_of_a: float
    difference: float
    low: float
    high: float
    detectable: float
    """The minimum effect that the rest of the stage would find, in 80 of 100 cases."""
    tested: bool
    cards_of_a: int
    cards_of_b: int
    parted_of_a: int = 0
    """Cards on which the arms have parted."""
    parted_of_b: int = 0
    capped: DifferenceReading | None = None
    """The second outcome: a card's loss counts up to a cap. It says nothing of the largest losses."""
    before: DifferenceReading | None = None
    """Net loss before the arms parted: chance alone, so that 0 lies in it, or something is wrong."""

    @property
    def text(self) -> str:
        """In currency units per 1,000 cards and week."""
        share = self.detectable / self.loss_of_a if self.loss_of_a else float("inf")
        tested = "tested" if self.tested else "not tested: too little would be found"
        return (
            f"net loss of A {10 * self.loss_of_a:,.2f} per 1,000 cards and week, B less A "
            f"{10 * self.difference:+,.2f} ({10 * self.low:+,.2f} to {10 * self.high:+,.2f}); minimum "
            f"detectable effect {10 * self.detectable:,.2f} ({share:.0%} of A's): {tested}"
        )

    @property
    def lines(self) -> Iterator[str]:
        """All of it, as lines."""
        yield self.text
        yield (
            f"the arms parted on {self.parted_of_b:,} of {self.cards_of_b:,} cards of B and on "
            f"{self.parted_of_a:,} of {self.cards_of_a:,} of A"
        )
        if self.capped is not None:
            yield f"capped, B less A: {self.capped.text}"
        if self.before is not None:
            yield f"before they parted, B less A: {self.before.text}"


class MoneyRule(msgspec.Struct, frozen=True, kw_only=True):
    """When and how net loss is read in a stage."""

    weeks: float
    """Of the stage whose payments are old enough by now."""
    planned_weeks: float
    """The same at the stage's end."""
    tests: bool
    """Whether the stage tests money where enough would be found."""
    worth: float
    """Money decides only where a difference of this share of A's net loss would be found."""
    cap_cents: float = CAP_CENTS


def read_money(rule: MoneyRule, mature: CardTallies, mixtures: dict[str, float]) -> MoneyReading | None:
    """The reading; None where too little is old enough, or the arms parted on too few cards.

    Args:
        mixtures: λ by outcome, fixed at the first look of a stage; missing ones are added.
    """
    in_b, parted = mature.in_b, mature["parted"] > 0
    of_b, of_a = int(parted[in_b].sum()), int(parted[~in_b].sum())
    if rule.weeks <= 0 or min(of_a, of_b) < LEAST_CARDS:
        return None
    weeks = rule.weeks
    loss, since = mature["loss"], mature["parted_loss"]
    estimate = mean_difference(since, in_b, weeks)
    if not math.isfinite(estimate.variance) or estimate.variance <= 0:
        return None
    elapsed = weeks / max(weeks, rule.planned_weeks)

    def shown(name: str, outcome: Doubles) -> DifferenceReading | None:
        beside = mean_difference(outcome, in_b, weeks)
        if beside.variance <= 0:
            return None
        difference, low, high = _interval(name, beside, mixtures, elapsed)
        return DifferenceReading(difference=difference, low=low, high=high)

    difference, low, high = _interval("money", estimate, mixtures, elapsed)
    effect = detectable_in_stage(estimate, elapsed)
    loss_of_a = float(loss[~in_b].mean()) / weeks
    return MoneyReading(
        loss_of_a=loss_of_a,
        difference=difference,
        low=low,
        high=high,
        detectable=effect,
        tested=rule.tests and effect <= rule.worth * loss_of_a,
        cards_of_a=int((~in_b).sum()),
        cards_of_b=int(in_b.sum()),
        parted_of_a=of_a,
        parted_of_b=of_b,
        capped=shown("capped", np.minimum(since, rule.cap_cents)),
        before=shown("before", loss - since),
    )


def _interval(
    name: str, estimate: SummedDifference, mixtures: dict[str, float], elapsed: float
) -> AnytimeInterval:
    mixture = mixtures.setdefault(name, tuning(GROWTH * estimate.intrinsic_time, EARLY_ALPHA))
    return stage_interval(estimate, mixture, elapsed)
