"""Which cards are blocked when: a function of the labels in the log, read in their order. Pure.

A customer's report or an analyst's verdict of fraud blocks the card from the time at which it is known, for a
stated time. A later verdict that the same transaction is honest lifts its block. A chargeback blocks nothing:
it comes a month or more later, when the card has long been replaced.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from fraudsim.log.events import Block, Label, LabelSource

BLOCK_RULE: Final = "card_blocked"
"""The rule named in the decision on a transaction of a blocked card."""
BLOCKING_SOURCES: Final[frozenset[LabelSource]] = frozenset({"customer", "analyst"})
MAX_VERDICTS: Final = 500_000
"""Verdicts of fraud kept at most, about 600 bytes each; beyond, the one known first is dropped."""


@dataclass(slots=True)
class _Report:
    """What is said of one transaction of a card."""

    fraud: list[tuple[int, LabelSource]] = field(default_factory=list)
    """Blocking verdicts, by the event time at which each is known."""
    honest_ms: list[int] = field(default_factory=list)
    """Event times at which a verdict of honesty is known."""

    def block_at(self, ts: int, block_ms: int) -> tuple[int, LabelSource] | None:
        """The latest verdict that blocks at `ts`."""
        blocking = [
            (known_ms, source)
            for known_ms, source in self.fraud
            if known_ms < ts < known_ms + block_ms
            and not any(known_ms < honest_ms < ts for honest_ms in self.honest_ms)
        ]
        return max(blocking, default=None)


class CardBlocks:
    """The blocks of all cards, from labels in the order of the log.

    Verdicts of honesty count only for transactions that have been reported as fraud before: the labels of one
    transaction stand in one partition, in the order in which they became known.

    Args:
        block_ms: event time for which a card is blocked; with 0 no card ever is.
    """

    def __init__(self, block_ms: int) -> None:
        self._block_ms = block_ms
        self._reports: dict[str, dict[str, _Report]] = {}
        """By card and transaction."""
        self._ends: deque[tuple[int, str, str]] = deque()
        """(time known, card, transaction) of each blocking verdict, in the order of arrival."""
        self.dropped = 0
        """Verdicts dropped because there were too many."""

    def __len__(self) -> int:
        return len(self._ends)

    def add(self, label: Label) -> None:
        """Take in an accepted label."""
        if not self._block_ms:
            return
        reports = self._reports.get(label.card_id)
        if label.is_fraud:
            if label.source not in BLOCKING_SOURCES:
                return
            if reports is None:
                reports = self._reports[label.card_id] = {}
            report = reports.setdefault(label.tx_id, _Report())
            report.fraud.append((label.known_at, label.source))
            self._ends.append((label.known_at, label.card_id, label.tx_id))
            if len(self._ends) > MAX_VERDICTS:
                self.dropped += 1
                self._drop_oldest()
        elif reports is not None and label.tx_id in reports:
            reports[label.tx_id].honest_ms.append(label.known_at)

    def at(self, card_id: str, ts: int) -> Block | None:
        """The block of a card for a transaction at `ts`: of several the one that ends last.

        A verdict counts strictly after the time at which it is known.
        """
        reports = self._reports.get(card_id)
        if reports is None:
            return None
        verdicts = [
            (*verdict, tx_id)
            for tx_id, report in reports.items()
            if (verdict := report.block_at(ts, self._block_ms)) is not None
        ]
        if not verdicts:
            return None
        known_ms, source, tx_id = max(verdicts)
        return Block(tx_id=tx_id, source=source, from_ms=known_ms, until_ms=known_ms + self._block_ms)

    def prune(self, before_ms: int) -> None:
        """Forget the verdicts whose block ends by `before_ms`: no transaction before it is still decided."""
        while self._ends and self._ends[0][0] + self._block_ms <= before_ms:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        _, card_id, tx_id = self._ends.popleft()
        reports = self._reports[card_id]
        fraud = reports[tx_id].fraud
        fraud.remove(min(fraud))
        if not fraud:
            del reports[tx_id]
        if not reports:
            del self._reports[card_id]
