"""Decisions that wait for the truth about them. Pure.

The truth names the frauds only, and may come before or after the decision: what it has not named within some
time is honest.
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


class AwaitedDecision(msgspec.Struct, gc=False):
    """The part of a `Decision` that is watched."""

    tx_id: str
    action: Action
    amount_cents: int
    source_offset: int
    score: float
    features: list[float | None]
    via: str = "stream"
    degraded: bool = False
    probability: float | None = None


class DecisionTruth(NamedTuple):
    """A decision and what it was about."""

    decision: AwaitedDecision
    typology: str | None
    """None where it was honest."""


class AwaitingTruth:
    """Decisions by transaction, each until it is named a fraud or has waited long enough."""

    def __init__(self, wait_s: float, most: int) -> None:
        """
        Args:
            wait_s: so long after its arrival a decision is taken for honest, seconds.
            most: decisions that wait, and frauds without a decision that are remembered; beyond it the oldest
                decision is honest early, and the oldest fraud forgotten.
        """
        self._wait_s, self._most = wait_s, most
        self._waiting: OrderedDict[str, tuple[float, AwaitedDecision]] = OrderedDict()
        self._frauds: OrderedDict[str, str] = OrderedDict()

    def __len__(self) -> int:
        """Decisions that wait."""
        return len(self._waiting)

    def decided(self, decision: AwaitedDecision, now_s: float) -> DecisionTruth | None:
        """A decision that came; settled at once where its fraud is known, or another's place is needed."""
        typology = self._frauds.pop(decision.tx_id, None)
        if typology is not None:
            return DecisionTruth(decision, typology)
        self._waiting[decision.tx_id] = (now_s, decision)
        if len(self._waiting) > self._most:
            return DecisionTruth(self._waiting.popitem(last=False)[1][1], None)
        return None

    def named(self, tx_id: str, typology: str | None) -> DecisionTruth | None:
        """A fraud that the truth has named; settled where its decision waits."""
        waiting = self._waiting.pop(tx_id, None)
        if waiting is not None:
            return DecisionTruth(waiting[1], typology or UNNAMED)
        self._frauds[tx_id] = typology or UNNAMED
        if len(self._frauds) > self._most:
            self._frauds.popitem(last=False)
        return None

    def honest(self, now_s: float) -> Iterator[DecisionTruth]:
        """Decisions that have waited long enough; to be asked when all truth there is has been read."""
        while self._waiting:
            tx_id, (since_s, decision) = next(iter(self._waiting.items()))
            if now_s - since_s < self._wait_s:
                return
            del self._waiting[tx_id]
            yield DecisionTruth(decision, None)
