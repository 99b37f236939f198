"""The decisions that the page keeps to list and to open them. Pure."""

from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Final

from dashboards.page.counts.bounded_tables import remember, remember_all
from dashboards.page.counts.seen_decision import SeenDecision

LATEST: Final = 50
"""Decisions of an update, of all and of those that are no approval."""
RAW: Final = 4_000
"""Latest decisions that can be opened, and as many of those that are no approval."""
CARDS: Final = 20_000
"""Cards whose latest payments are kept."""
CARD_PAYMENTS: Final = 40


class KeptDecisions:
    """The latest decisions: of all, of those that are no approval, and of each card."""

    def __init__(self) -> None:
        self.latest: deque[SeenDecision] = deque(maxlen=LATEST)
        self.latest_flagged: deque[SeenDecision] = deque(maxlen=LATEST)
        self._raw: OrderedDict[str, bytes] = OrderedDict()
        self._raw_flagged: OrderedDict[str, bytes] = OrderedDict()
        self._cards: OrderedDict[str, deque[SeenDecision]] = OrderedDict()

    def add(self, decisions: Sequence[SeenDecision], values: Sequence[bytes]) -> None:
        """Add decisions, and the values of their records."""
        self.latest.extend(decisions)
        remember_all(self._raw, zip((d.tx_id for d in decisions), values, strict=True), RAW)
        for decision, value in zip(decisions, values, strict=True):
            if decision.action != "approve":
                self.latest_flagged.append(decision)
                remember(self._raw_flagged, decision.tx_id, value, RAW)
            payments = self._cards.get(decision.card_id)
            if payments is None:
                payments = deque(maxlen=CARD_PAYMENTS)
                remember(self._cards, decision.card_id, payments, CARDS)
            payments.append(decision)

    def raw(self, tx_id: str) -> bytes | None:
        """A decision as it is in the log; None once it is forgotten."""
        return self._raw_flagged.get(tx_id) or self._raw.get(tx_id)

    def payments_of(self, card_id: str) -> list[SeenDecision]:
        """The latest decided payments of a card, the oldest first."""
        return list(self._cards.get(card_id, ()))
