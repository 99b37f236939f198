"""Decisions that await the truth about them. Pure.

The truth names only the frauds, and may come before or after the decision: a decision that it has not named
within some time is honest.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Final, NamedTuple

from producers.labels.outcome import DecidedPayment, Outcome
from producers.ledger.entry import Fraud

OUTCOMES: Final = ("paid", "decline", "step_up", "review", "block")
"""What became of a payment: it was paid, or by what it was stopped."""


def outcome_name(outcome: Outcome) -> str:
    """One of `OUTCOMES`; a step-up that was denied and one without an answer are one."""
    if outcome.stopped_by is None:
        return "paid"
    return "step_up" if outcome.stopped_by.startswith("step_up") else outcome.stopped_by


class AwaitedDecision(DecidedPayment, frozen=True, kw_only=True, gc=False):
    """The part of a `Decision` that waits for the truth."""

    probability: float | None = None


class DecisionTruth(NamedTuple):
    """A decision and the truth about its transaction."""

    decision: AwaitedDecision
    fraud: Fraud | None
    """None where it was honest."""


class AwaitingTruth:
    """Decisions in the order of their arrival, each until it has waited long enough for the truth to name it.

    Frauds wait as well as honest ones, so that what leaves is in the order of time.
    """

    def __init__(self, wait_s: float, capacity: int) -> None:
        """
        Args:
            wait_s: seconds after its arrival at which a decision leaves.
            capacity: of the waiting decisions, and of the remembered frauds. Beyond it the oldest decision
                leaves early, and the oldest fraud is forgotten.
        """
        self._wait_s, self._capacity = wait_s, capacity
        self._waiting: deque[tuple[float, AwaitedDecision]] = deque()
        self._frauds: OrderedDict[str, Fraud] = OrderedDict()

    def __len__(self) -> int:
        """Decisions that wait."""
        return len(self._waiting)

    def add_decisions(self, decisions: Iterable[AwaitedDecision], now_s: float) -> None:
        """Add decisions at a monotonic time."""
        self._waiting.extend((now_s, decision) for decision in decisions)

    def add_fraud(self, tx_id: str, fraud: Fraud) -> None:
        """Add a fraud that the truth names, before or after the decision on it."""
        self._frauds[tx_id] = fraud
        if len(self._frauds) > self._capacity:
            self._frauds.popitem(last=False)

    def pop_due(self, now_s: float) -> list[DecisionTruth]:
        """Remove the decisions that have waited long enough, in order of event time.

        Call it when all truth so far has been added.
        """
        due = []
        while self._waiting:
            since_s, decision = self._waiting[0]
            if now_s - since_s < self._wait_s and len(self._waiting) <= self._capacity:
                break
            self._waiting.popleft()
            due.append(DecisionTruth(decision, self._frauds.pop(decision.tx_id, None)))
        return sorted(due, key=lambda truth: (truth.decision.ts, truth.decision.tx_id))
