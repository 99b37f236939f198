"""The search: bracket by doubling, then random rates around the candidate, from below and from above."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from load_tests.load.capacity.estimate import CapacityEstimate, estimate_capacity

NARROW: Final = 0.15
"""The search ends when half the interval's width on the log scale is below this, after `fewest` steps."""
SPREAD: Final = 0.35
"""Largest distance on the log scale at which a rate is drawn from the candidate."""
OVERLOAD: Final = 1.5
"""Multiple of the candidate that is sent before a step from above."""
StepWord = Literal["met", "missed", "not measured"]


@dataclass(frozen=True)
class CapacityStep:
    """One step of the search."""

    rate: float
    word: StepWord
    why: str
    from_above: bool = False
    """After an overload, whose backlog the target had to work off."""


Attempt = Callable[[float, bool], CapacityStep]
"""Loads at a rate, after an overload or not."""


@dataclass(frozen=True)
class SearchLimits:
    """Where a search starts and ends."""

    first: float = 50.0
    most: float = 20_000.0
    fewest: int = 8
    """Steps after the bracket."""
    most_steps: int = 24


@dataclass(frozen=True)
class SearchOutcome:
    """The steps of a search, and what they say."""

    steps: Sequence[CapacityStep]
    estimate: CapacityEstimate | None
    """None where no capacity can be named."""
    why: str = ""
    """Why not."""
    at_least: float | None = None
    """Highest rate that was met, where the generator or the limit ended the search."""


@dataclass
class CapacitySearch:
    """A search in progress. Restarts, overloads and loads are the attempt's; this decides rates."""

    attempt: Attempt
    limits: SearchLimits
    rng: random.Random
    should_stop: Callable[[], bool] = lambda: False
    steps: list[CapacityStep] = field(default_factory=list)

    def run(self) -> SearchOutcome:
        """Search until the interval is narrow, or no more steps may be taken."""
        refusal = self._bracket()
        if refusal:
            return SearchOutcome(self.steps, None, refusal, self._highest_met())
        taken_count = 0
        while taken_count < self.limits.most_steps and not self.should_stop():
            estimate = self._estimate()
            if taken_count >= self.limits.fewest and estimate.log_spread < NARROW:
                break
            distance = self.rng.uniform(-1, 1) * min(SPREAD, max(NARROW, estimate.log_spread))
            rate = min(self.limits.most, estimate.rate * 2.718281828**distance)
            self.steps.append(self.attempt(round(rate, 1), taken_count % 3 == 2))
            taken_count += 1
            unmeasured = [step for step in self.steps if step.word == "not measured"]
            if len(unmeasured) > max(2, taken_count // 2):
                return SearchOutcome(self.steps, None, unmeasured[-1].why, self._highest_met())
        return SearchOutcome(self.steps, self._estimate())

    def _bracket(self) -> str:
        """Double, or halve, until one rate is met and one missed; returns why that was not possible."""
        rate = self.limits.first
        while True:
            step = self.attempt(rate, False)
            if step.word == "not measured":
                step = self.attempt(rate, False)  # once more: a pause of the machine passes
            self.steps.append(step)
            words = {step.word for step in self.steps}
            if step.word == "not measured":
                return f"at {rate:g}/s nothing was measured: {step.why}"
            if {"met", "missed"} <= words:
                return ""
            if self.should_stop():
                return "it was stopped before a rate was missed"
            if step.word == "met" and rate >= self.limits.most:
                return f"the objective is met at {rate:g}/s, the highest rate allowed: raise --most"
            if step.word == "missed" and rate < 1:
                return f"the objective is missed even at {rate:g}/s: {step.why}"
            rate = min(2 * rate, self.limits.most) if step.word == "met" else rate / 2

    def _estimate(self) -> CapacityEstimate:
        measured = [step for step in self.steps if step.word != "not measured"]
        return estimate_capacity([step.rate for step in measured], [step.word == "met" for step in measured])

    def _highest_met(self) -> float | None:
        return max((step.rate for step in self.steps if step.word == "met"), default=None)
