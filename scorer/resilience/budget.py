"""The time budget of a request, split over the stages that may have to wait."""

from typing import Final

import msgspec

CLAIM_SHARE: Final = 0.3
FEATURES_SHARE: Final = 0.7
"""Share of the budget that has passed when the claim, and then the feature read, must have their answers.
The rest is for the trees, which take microseconds, and for storing the decision for repeats."""
TRANSACTIONS_PER_BUDGET: Final = 100
"""A batch has one budget per this many transactions."""
STREAM_BUDGETS: Final = 4
"""The stream waits this many budgets for the state: it holds no client's connection open."""


class Budget(msgspec.Struct, frozen=True, gc=False):
    """When a request arrived (monotonic, seconds) and how long it may take."""

    started_s: float
    total_s: float

    @staticmethod
    def of(started_s: float, deadline_ms: int, transactions: int = 1) -> "Budget":
        """The budget of a request for this many transactions."""
        return Budget(started_s, deadline_ms / 1000 * -(-transactions // TRANSACTIONS_PER_BUDGET))

    def remainder(self, now_s: float, max_s: float) -> "Budget":
        """What is left of the budget, at most `max_s`: for one slice of a batch."""
        return Budget(now_s, max(0.0, min(max_s, self.deadline_s - now_s)))

    @property
    def claim_by_s(self) -> float:
        return self.started_s + CLAIM_SHARE * self.total_s

    @property
    def features_by_s(self) -> float:
        return self.started_s + FEATURES_SHARE * self.total_s

    @property
    def deadline_s(self) -> float:
        return self.started_s + self.total_s
