"""Consequences of decisions, as parameters: of step-ups, reviews, holds, blocks, reactions, and their prices.

The one set of parameters of what a decision does and costs: outcomes (`producers.labels.outcome`), labels,
the ledger and the costs that a policy weighs all follow from it. All defaults are assumptions. Pure.
"""

from dataclasses import dataclass
from math import isfinite
from typing import Final

from fraudsim.errors import FraudsimError
from producers.labels.delays import LABEL_MEMORY_DAYS

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
MAX_BLOCK_DAYS: Final = 30
"""A test holds it to `KEPT_DAYS` of `stream_features.store.reported_labels`."""


@dataclass(frozen=True)
class Consequences:
    """Shares, delays in event time, the size of the analysts' desk, and prices in cents.

    Raises:
        FraudsimError: a value is out of its range, or two contradict each other; the message names them.
    """

    step_up_answered: float = 0.9
    """Share of step-ups that are answered; unanswered payments do not go through."""
    step_up_median_minutes: float = 1.5
    step_up_max_minutes: float = 30.0
    """The longest time to an answer; a step-up without one fails then."""
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
    hold_hours: float = 12.0
    """Longest time for which a review holds a card-not-present payment. Then it goes through, reviewed or
    not. With 0 every reviewed payment goes through at once."""
    block_hours: float = 6.0
    """Time for which a card is blocked after a report or verdict of fraud: until its holder has the number of
    its successor. With 0 no card is blocked."""
    campaigns_react: float = 1.0
    """Share of fraud campaigns that react to what stops them."""
    honest_retries: float = 0.5
    """Share of honest customers who try again after a decline, a failed step-up or a mistaken verdict."""
    honest_leaves: float = 0.02
    """Share of them who stop using the card; the others give up this payment only."""
    analyst_hour_cents: float = 2400.0
    """Price of an hour of an analyst."""
    step_up_cost_cents: float = 10.0
    """Price of one step-up: a one-time password, and its friction."""
    hold_cost_cents: float = 50.0
    """Price of holding an honest payment: a delayed order, a call."""
    leaver_cents: float = 25_000.0
    """Worth of a customer who leaves."""
    lost_sale_share: float = 0.2
    """Price of an honest payment that is stopped and not tried again, as a share of its amount."""
    block_insult_share: float = 0.25
    """Price of an honest payment stopped by a block, as a share of a wrong decline's: the holder knows of the
    block, and mostly pays otherwise."""

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if not value >= 0:
                raise FraudsimError(f"{name}={value:g} must be 0 or more")
            if not isfinite(value):
                raise FraudsimError(f"{name}={value:g} must be a number")
            if name in _SHARES and value > 1:
                raise FraudsimError(f"{name}={value:g} is a share, at most 1")
            if name in ("analysts", "review_queue") and value != int(value):
                raise FraudsimError(f"{name}={value:g} must be a whole number")
        for low, high, reason in _ORDERED:
            if getattr(self, low) > getattr(self, high):
                raise FraudsimError(
                    f"{low}={getattr(self, low):g} is more than {high}={getattr(self, high):g}{reason}"
                )
        if self.honest_retries + self.honest_leaves > 1:
            raise FraudsimError(
                f"honest_retries={self.honest_retries:g} and honest_leaves={self.honest_leaves:g} come to "
                f"{self.honest_retries + self.honest_leaves:g}; at most 1"
            )
        if self.review_patience_hours > 24 * LABEL_MEMORY_DAYS:
            raise FraudsimError(
                f"review_patience_hours={self.review_patience_hours:g} is beyond the "
                f"{LABEL_MEMORY_DAYS} days for which features remember a label; give less"
            )
        if self.block_hours > 24 * MAX_BLOCK_DAYS:
            raise FraudsimError(
                f"block_hours={self.block_hours:g} is beyond the {MAX_BLOCK_DAYS} days for which a history's "
                "reports are kept; give less"
            )

    @property
    def hold_ms(self) -> int:
        return round(self.hold_hours * HOUR_MS)

    @property
    def block_ms(self) -> int:
        return round(self.block_hours * HOUR_MS)

    @property
    def review_cost_cents(self) -> float:
        """Price of one review."""
        return self.analyst_hour_cents * self.review_minutes / 60

    @property
    def insult_fixed_cents(self) -> float:
        """The part of a wrong decline's price that every amount has."""
        return self.honest_leaves * self.leaver_cents

    @property
    def insult_amount_share(self) -> float:
        """The part of a wrong decline's price that grows with the amount."""
        return (1 - self.honest_retries) * self.lost_sale_share

    def insult_cents(self, amount_cents: int) -> float:
        """Expected price of a wrong decline; by the mean, so that a few who leave do not drown the rest."""
        return self.insult_fixed_cents + self.insult_amount_share * amount_cents


_SHARES: Final = (
    "step_up_answered",
    "step_up_fooled",
    "step_up_slips",
    "review_misses",
    "review_false_alarms",
    "campaigns_react",
    "honest_retries",
    "honest_leaves",
    "lost_sale_share",
    "block_insult_share",
)
_ORDERED: Final = (
    ("step_up_median_minutes", "step_up_max_minutes", ""),
    ("hold_hours", "review_patience_hours", ": a held payment must not outlast its case"),
)
"""Pairs of fields of which the first must not exceed the second, and why."""
