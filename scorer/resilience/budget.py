"""The time that a request may take, split over the stages that may have to wait."""

from typing import Final

import msgspec

CLAIM_SHARE: Final = 0.3
FEATURES_SHARE: Final = 0.7
"""Share of the budget that is over when the claim, and then the feature read, must have their answers.
What is left is for the trees, which take microseconds, and for keeping the decision for repeats."""
PER_BATCH: Final = 100
"""A batch has one budget for each so many transactions."""
STREAM_BUDGETS: Final = 4
"""The stream waits this many budgets for the state: nobody holds a connection open for it."""


class Budget(msgspec.Struct, frozen=True, gc=False):
    """When a request came (monotonic, seconds) and how long it may take."""

    started_s: float
    total_s: float

    @staticmethod
    def of(started_s: float, deadline_ms: int, transactions: int = 1) -> "Budget":
        """The budget of a request for so many transactions."""
        return Budget(started_s, deadline_ms / 1000 * -(-transactions // PER_BATCH))

    def from_now(self, now_s: float, most_s: float) -> "Budget":
        """What is left of it, at most so long: for one part of a batch."""
        return Budget(now_s, max(0.0, min(most_s, self.over_s - now_s)))

    @property
    def claim_by_s(self) -> float:
        return self.started_s + CLAIM_SHARE * self.total_s

    @property
    def features_by_s(self) -> float:
        return self.started_s + FEATURES_SHARE * self.total_s

    @property
    def over_s(self) -> float:
        return self.started_s + self.total_s
