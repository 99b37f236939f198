"""Campaigns that react: the same source that reacts on the line, one payment at a time."""

from collections import deque
from collections.abc import Iterator

from fraudsim.log.events import Transaction
from fraudsim.log.topics import TRANSACTIONS
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
    """Payments of campaigns as they are made after what happened to earlier ones."""

    def __init__(self, world: World) -> None:
        self._feed = _OneByOne()
        self._source = ReactingSource(self._feed, world)

    @property
    def counts(self) -> dict[str, int]:
        """Payments changed or left out, by reaction."""
        return dict(self._source.counts)

    def next_payment(self, tx: Transaction, campaign_id: str) -> Transaction | None:
        """The payment that the campaign makes in place of `tx`; None if it has ended."""
        self._feed.queue.append(Item(tx.ts, TRANSACTIONS, tx.card_id, tx, campaign_id))
        (item,) = self._source.items()
        reacted = self._source.react(item)
        if reacted is None:
            return None
        assert isinstance(reacted.event, Transaction)
        return reacted.event

    def add_stop(self, tx_id: str) -> None:
        """Take in that a payment was stopped."""
        self._source.add_decline(tx_id)
