"""Consequences of decisions: customers answer step-ups, analysts review cases. Pure.

Every draw belongs to a seed, a purpose and a transaction's id, so that a decision has the same
consequences in every process and at any time.
"""

from dataclasses import dataclass
from math import exp
from statistics import NormalDist
from typing import Final

from fraudsim.errors import FraudsimError
from producers.labels.delays import LABEL_MEMORY_DAYS
from producers.rng import chance

MINUTE_MS: Final = 60_000
_SIGMA: Final = 0.8


@dataclass(frozen=True)
class Consequences:
    """Shares, delays in event time, and the size of the analysts' desk."""

    step_up_answered: float = 0.9
    """Share of step-ups that are answered; unanswered payments do not go through."""
    step_up_median_minutes: float = 1.5
    step_up_max_minutes: float = 30.0
    step_up_fooled: float = 0.05
    """Share of frauds whose victim confirms the step-up, being deceived."""
    step_up_slips: float = 0.01
    """Share of honest step-ups that the customer reports as fraud by mistake."""
    analysts: float = 2.0
    """Analysts at work at once, around the clock; a whole number."""
    review_minutes: float = 10.0
    """An analyst's time for one case."""
    review_queue: float = 200.0
    """Cases that may wait; beyond, the one of least value is dropped. A whole number."""
    review_patience_hours: float = 24.0
    """A case that has waited longer is dropped."""
    review_misses: float = 0.08
    """Share of frauds that an analyst clears."""
    review_false_alarms: float = 0.02
    """Share of honest cases that an analyst labels as fraud."""

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if not value >= 0:
                raise FraudsimError(f"{name}={value:g} must be 0 or more")
            if name in _SHARES and value > 1:
                raise FraudsimError(f"{name}={value:g} is a share, at most 1")
            if name in ("analysts", "review_queue") and value != int(value):
                raise FraudsimError(f"{name}={value:g} must be a whole number")
        if self.step_up_median_minutes > self.step_up_max_minutes:
            raise FraudsimError(
                f"step_up_median_minutes={self.step_up_median_minutes:g} is more than step_up_max_minutes="
                f"{self.step_up_max_minutes:g}"
            )
        if self.review_patience_hours > 24 * LABEL_MEMORY_DAYS:
            raise FraudsimError(
                f"review_patience_hours={self.review_patience_hours:g} is beyond the "
                f"{LABEL_MEMORY_DAYS} days for which features remember a label; give less"
            )


_SHARES: Final = (
    "step_up_answered",
    "step_up_fooled",
    "step_up_slips",
    "review_misses",
    "review_false_alarms",
)


@dataclass(frozen=True, slots=True)
class StepUpReply:
    """A customer's answer to a step-up."""

    says_fraud: bool
    after_ms: int
    """Event time from the transaction to the answer."""


def step_up_reply(tx_id: str, is_fraud: bool, rules: Consequences, seed: int) -> StepUpReply | None:
    """The customer's answer to a step-up, None if there is none."""
    if chance(seed, "step-up", tx_id) >= rules.step_up_answered:
        return None
    wrong = chance(seed, "step-up-wrong", tx_id) < (rules.step_up_fooled if is_fraud else rules.step_up_slips)
    quantile = min(max(chance(seed, "step-up-delay", tx_id), 1e-9), 1 - 1e-9)
    spread = NormalDist(0.0, _SIGMA).inv_cdf(quantile)
    minutes = min(rules.step_up_median_minutes * exp(spread), rules.step_up_max_minutes)
    return StepUpReply(says_fraud=is_fraud != wrong, after_ms=round(minutes * MINUTE_MS))


def analyst_says_fraud(tx_id: str, is_fraud: bool, rules: Consequences, seed: int) -> bool:
    """An analyst's verdict on a case."""
    wrong = chance(seed, "review", tx_id) < (rules.review_misses if is_fraud else rules.review_false_alarms)
    return is_fraud != wrong
