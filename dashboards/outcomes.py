"""Decisions that await the truth about them. Pure.

The truth names only the frauds, and may come before or after the decision: a decision that it has not named
within some time is honest.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

import msgspec

from fraudsim.log.events import Action

Outcome = Literal["approved", "challenged", "declined"]
OUTCOME: Final[dict[Action, Outcome]] = {
    "approve": "approved",
    "step_up": "challenged",
    "review": "challenged",
    "decline": "declined",
}
"""A fraud's value is lost where it was approved and saved where it was declined; a challenge, by one-time
password or analyst, saves all but what passes it. An honest customer is insulted by a decline."""
UNNAMED: Final = "unnamed"
"""The typology of a fraud whose source names none."""


class AwaitedDecision(msgspec.Struct, frozen=True, gc=False):
    """The part of a `Decision` that waits for the truth."""

    tx_id: str
    action: Action
    amount_cents: int
    probability: float | None


class DecisionTruth(NamedTuple):
    """A decision and the truth about its transaction."""

    decision: AwaitedDecision
    typology: str | None
    """None where it was honest."""


class AwaitingTruth:
    """Decisions by transaction, each until the truth names it a fraud or it has waited long enough."""

    def __init__(self, wait_s: float, capacity: int) -> None:
        """
        Args:
            wait_s: seconds after its arrival at which a decision counts as honest.
            capacity: of the waiting decisions, and of the remembered frauds without a decision. Beyond it the
                oldest decision counts as honest early, and the oldest fraud is forgotten.
        """
        self._wait_s, self._capacity = wait_s, capacity
        self._waiting: OrderedDict[str, tuple[float, AwaitedDecision]] = OrderedDict()
        self._frauds: OrderedDict[str, str] = OrderedDict()

    def __len__(self) -> int:
        """Decisions that wait."""
        return len(self._waiting)

    def add_decision(self, decision: AwaitedDecision, now_s: float) -> DecisionTruth | None:
        """Add a decision; returns it where its fraud is known, or the oldest one where capacity is short."""
        typology = self._frauds.pop(decision.tx_id, None)
        if typology is not None:
            return DecisionTruth(decision, typology)
        self._waiting[decision.tx_id] = (now_s, decision)
        if len(self._waiting) > self._capacity:
            return DecisionTruth(self._waiting.popitem(last=False)[1][1], None)
        return None

    def add_fraud(self, tx_id: str, typology: str | None) -> DecisionTruth | None:
        """Add a fraud that the truth names; returns its decision where that waits."""
        waiting = self._waiting.pop(tx_id, None)
        if waiting is not None:
            return DecisionTruth(waiting[1], typology or UNNAMED)
        self._frauds[tx_id] = typology or UNNAMED
        if len(self._frauds) > self._capacity:
            self._frauds.popitem(last=False)
        return None

    def pop_honest(self, now_s: float) -> Iterator[DecisionTruth]:
        """Remove the decisions that have waited long enough; call it when all truth so far has been added."""
        while self._waiting:
            tx_id, (since_s, decision) = next(iter(self._waiting.items()))
            if now_s - since_s < self._wait_s:
                return
            del self._waiting[tx_id]
            yield DecisionTruth(decision, None)
