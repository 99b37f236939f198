"""What another model would have cost on logged decisions, where chance had a part in them. Pure.

What a bank cannot know is whether a payment that it stopped was fraud. Exploration lets a share of the
declines through; such a payment stands for all that were like it, with the inverse of its probability as its
weight (inverse propensity weighting, Horvitz and Thompson 1952; off-policy evaluation: Dudík et al. 2011).
Once a label is known, the cost of every action on it is known too, so that only labels are weighted, and
decisions on which both models agree cancel whatever they were.
"""

from typing import Final

import msgspec
import numpy as np

from fraudsim.arrays import Doubles, Flags, Ints
from fraudsim.errors import FraudsimError
from lifecycle.backtest.verdict import Interval, paired_by_card

LEAST_EFFECTIVE: Final = 50.0


class LoggedDecisions(msgspec.Struct, frozen=True, kw_only=True):
    """Logged decisions, and what B would do; arrays have one entry per decision."""

    card: Ints
    """Code of the card."""
    logged: Doubles
    """Probability of each action as logged, shape (n, 4)."""
    other: Doubles
    """Probability of each action under B, shape (n, 4)."""
    labelled: Flags
    """Whether it is known if this payment was fraud."""
    weight: Doubles
    """1 over the probability that its label would be known; 1 where chance had no part."""
    supported: Flags
    """Whether its label could have been known at all."""
    is_fraud: Flags
    """By label; meaningless where `labelled` is false."""
    cost_if_fraud: Doubles
    """Expected cents of each action if it is fraud, shape (n, 4)."""
    cost_if_honest: Doubles


class OffPolicyEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """B less A."""

    difference: Interval
    """Including what unsupported decisions may come to: all of them fraud, or all honest."""
    supported_difference: Interval
    """Of the decisions whose label could be known."""
    effective_sample: float
    """Kish's: the number of equally weighted decisions that would be as uncertain."""
    differing: int
    labelled: int
    """Of the differing decisions."""
    explored: int
    """Of the labelled ones, those that exploration let through."""
    unsupported: int
    """Differing decisions of which nobody could ever have known."""
    unsupported_cents: tuple[float, float]
    """What these add at least and at most, cents in all."""


def effective_sample(weights: Doubles) -> float:
    """(Σw)² / Σw² (Kish 1965).

    >>> effective_sample(np.array([2.0, 2.0, 2.0]))
    3.0
    """
    squares = float(np.square(weights).sum())
    return float(weights.sum()) ** 2 / squares if squares else 0.0


def estimate(decisions: LoggedDecisions, cards: int, weeks: float) -> OffPolicyEstimate:
    """The weighted difference by card.

    Raises:
        FraudsimError: the effective sample of the decisions that differ is below 50.
    """
    change = decisions.other - decisions.logged
    differs = np.any(np.abs(change) > 1e-9, axis=1)
    if_fraud = (change * decisions.cost_if_fraud).sum(axis=1)
    if_honest = (change * decisions.cost_if_honest).sum(axis=1)
    usable = differs & decisions.supported & decisions.labelled
    weights = np.where(usable, decisions.weight, 0.0)
    effective = effective_sample(weights)
    explored = int((usable & (decisions.weight > 1)).sum())
    if differs.any() and effective < LEAST_EFFECTIVE:
        raise FraudsimError(
            f"backtest: {int(differs.sum()):,} decisions would differ, and what is known of them (labelled "
            f"{int(usable.sum()):,}, let through by exploration {explored:,}) is worth {effective:.1f} "
            f"decisions of equal weight, under {LEAST_EFFECTIVE:.0f}; take a longer run, or one whose policy "
            "explores more, or backtest on a world by --history"
        )
    value = np.where(decisions.is_fraud, if_fraud, if_honest) * weights
    by_card = np.bincount(decisions.card, weights=value, minlength=1).astype(np.float64)
    supported = paired_by_card(by_card, weeks, cards)
    unknown = differs & ~decisions.supported
    low = float(np.minimum(if_fraud, if_honest)[unknown].sum())
    high = float(np.maximum(if_fraud, if_honest)[unknown].sum())
    scale = 1_000 / (weeks * max(1, cards))
    return OffPolicyEstimate(
        difference=Interval(
            mean=supported.mean + (low + high) / 2 * scale,
            low=supported.low + low * scale,
            high=supported.high + high * scale,
            cards=supported.cards,
            cards_that_differ=len(np.unique(decisions.card[differs])),
        ),
        supported_difference=supported,
        effective_sample=effective,
        differing=int(differs.sum()),
        labelled=int(usable.sum()),
        explored=explored,
        unsupported=int(unknown.sum()),
        unsupported_cents=(low, high),
    )
