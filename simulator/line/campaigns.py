"""Campaigns that react: the same source that reacts on the line, one payment at a time."""

from collections import deque
from collections.abc import Iterator

from fraudsim.log.events import Transaction, Truth
from fraudsim.log.topics import TRANSACTIONS, TRUTH
from producers.labels.consequences import Consequences
from producers.labels.outcome import DecidedPayment
from producers.ledger.entry import Fraud
from producers.sources.reacting_source import ReactingSource
from producers.sources.source import Item
from producers.world.world import World


class _OneByOne:
    """A `Source` of the items that it is handed."""

    name = "fast-forward"
    start_ms = 0

    def __init__(self) -> None:
        self.queue: deque[Item] = deque()

    def items(self) -> Iterator[Item]:
        while self.queue:
            yield self.queue.popleft()


class ReactingCampaigns:
    """Payments of campaigns as they are made after what happened to earlier ones.

    Honest customers do not react here: their retries would be payments that the world does not have.
    """

    def __init__(self, world: World, rules: Consequences) -> None:
        self._feed = _OneByOne()
        self._source = ReactingSource(self._feed, world, rules)

    @property
    def counts(self) -> dict[str, int]:
        """Payments changed or left out, by reaction."""
        return dict(self._source.counts)

    def next_payment(self, tx: Transaction, fraud: Fraud) -> Transaction | None:
        """The payment that the campaign makes in place of `tx`; None if it has ended."""
        truth = Truth(tx_id=tx.tx_id, is_fraud=True, typology=fraud.typology, campaign_id=fraud.campaign_id)
        self._feed.queue.append(Item(tx.ts, TRUTH, tx.card_id, truth, fraud.campaign_id))
        self._feed.queue.append(Item(tx.ts, TRANSACTIONS, tx.card_id, tx, fraud.campaign_id))
        *_, item = self._source.items()
        reacted = self._source.react(item)
        if reacted is None:
            return None
        assert isinstance(reacted.event, Transaction)
        return reacted.event

    def add_decision(self, payment: DecidedPayment) -> None:
        """Take in a decision other than an approval."""
        self._source.add_decision(payment)

    def add_verdict(self, tx_id: str, known_ms: int) -> None:
        """Take in an analyst's verdict."""
        self._source.add_verdict(tx_id, known_ms)
