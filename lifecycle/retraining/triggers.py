"""When retraining is due: by period, drift, performance on mature labels, or expected money. Pure.

A trigger looks at the evidence of one moment and gives a reason, or None. Each knows nothing of the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from fraudsim.durations import option_ms
from fraudsim.errors import FraudsimError
from producers.labels.consequences import Consequences
from stream_features.catalogue.features import DAY

RETRAINING_MINUTES: Final = 120.0
"""Of an analyst, to look at the figures, the gate and the shadow; assumed."""
MATURE_DAYS: Final = 14
"""Age of the payments that performance is measured on: most of their frauds are known."""


@dataclass(frozen=True)
class Evidence:
    """What is known at a moment of event time."""

    now_ms: int
    trained_at_ms: int
    """When the champion's labels were cut off, or when retraining was last tried."""
    drifted: Sequence[str] = ()
    """Signals beyond their limits in the last week, the furthest first."""
    cost_share: float | None = None
    """Cost of decisions on payments of mature age over that of approving all; None where not known."""
    cost_share_then: float | None = None
    """The same just after the champion was promoted."""
    at_stake_cents: float = 0.0
    """Fraud among payments of a week, as known at mature age."""
    retraining_cents: float = 0.0
    """What one retraining costs in machine and analyst time."""
    alarmed_ms: int | None = None
    """Event time of the first alarm since retraining was last tried."""


class RetrainingTrigger(Protocol):
    """Something that may ask for retraining."""

    @property
    def name(self) -> str: ...

    def reason(self, evidence: Evidence) -> str | None:
        """Why retraining is due, in words; None where it is not."""
        ...


@dataclass(frozen=True)
class ByPeriod:
    """So long after the last time."""

    every_ms: int
    name: str = "period"

    def reason(self, evidence: Evidence) -> str | None:
        """Due when the period is over; a clock that went back makes nothing due."""
        age_ms = evidence.now_ms - evidence.trained_at_ms
        return f"{age_ms / DAY:.1f} days since the last" if age_ms >= self.every_ms else None


@dataclass(frozen=True)
class ByDrift:
    """When something has drifted, but not before new weeks are there to learn from."""

    least_ms: int = 14 * DAY
    """Since the last training."""
    wait_ms: int = 0
    """Since the first alarm: what a model learns from ends a label gap and a test period before now."""
    name: str = "drift"

    def reason(self, evidence: Evidence) -> str | None:
        """Due with an alarm that is old enough to have data behind it."""
        if not evidence.drifted or evidence.now_ms - evidence.trained_at_ms < self.least_ms:
            return None
        if self.wait_ms and (
            evidence.alarmed_ms is None or evidence.now_ms - evidence.alarmed_ms < self.wait_ms
        ):
            return None
        return ", ".join(evidence.drifted[:3])


@dataclass(frozen=True)
class ByPerformance:
    """When decisions cost so much more than they did, on payments of mature age."""

    factor: float = 1.25
    least_ms: int = 14 * DAY
    name: str = "performance"

    def reason(self, evidence: Evidence) -> str | None:
        """Due when the share of the cost that remains has grown by the factor."""
        now, then = evidence.cost_share, evidence.cost_share_then
        if now is None or then is None or evidence.now_ms - evidence.trained_at_ms < self.least_ms:
            return None
        return f"cost share {now:.2f} after {then:.2f}" if now > self.factor * then else None


@dataclass(frozen=True)
class ByMoney:
    """When what the champion has lost in value, over the weeks ahead, exceeds what retraining costs."""

    weeks_ahead: float = 4.0
    least_ms: int = 14 * DAY
    name: str = "money"

    def reason(self, evidence: Evidence) -> str | None:
        """Due when cost share gained x fraud of a week x weeks ahead is above the cost of retraining."""
        now, then = evidence.cost_share, evidence.cost_share_then
        if now is None or then is None or evidence.now_ms - evidence.trained_at_ms < self.least_ms:
            return None
        gain = (now - then) * evidence.at_stake_cents * self.weeks_ahead
        if gain <= evidence.retraining_cents:
            return None
        return f"{gain / 100:,.0f} to gain for {evidence.retraining_cents / 100:,.0f}"


@dataclass(frozen=True)
class Never:
    """Never asks."""

    name: str = "never"

    def reason(self, evidence: Evidence) -> str | None:
        """None."""
        return None


WEEKLY: Final[dict[str, RetrainingTrigger]] = {
    trigger.name: trigger for trigger in (ByDrift(wait_ms=14 * DAY), ByPerformance(), ByMoney())
}
"""Those that the weeks of a line decide, by name."""


@dataclass(frozen=True)
class Cadence:
    """When a line retrains, and what becomes of a shadow."""

    triggers: Sequence[RetrainingTrigger]
    trial_ms: int | None = None
    """Time beside the champion after which a shadow is tried; None: nobody promotes it here."""


def cadence_of(every: str | None, on: Sequence[str], promote_after: str | None = None) -> Cadence:
    """The cadence that options ask for: a duration, names of `WEEKLY`, and a duration.

    Raises:
        FraudsimError: one of them is none.
    """
    unknown = [name for name in on if name not in WEEKLY]
    if unknown:
        raise FraudsimError(f"--on {unknown[0]!r} is no trigger; there are {', '.join(WEEKLY)}")
    triggers = [WEEKLY[name] for name in dict.fromkeys(on)]
    if every is not None:
        triggers.append(ByPeriod(option_ms("--every", every)))
    trial_ms = None if promote_after is None else option_ms("--promote-after", promote_after)
    return Cadence(triggers, trial_ms)


def retraining_cents(rules: Consequences) -> float:
    """What one retraining costs in analyst time, at what a review costs."""
    return RETRAINING_MINUTES * rules.review_cost_cents / rules.review_minutes
