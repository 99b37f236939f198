"""Transactions of the log that no decision, dead letter or repetition accounts for yet. Pure."""

from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from typing import Final

from dashboards.page.counts.bounded_tables import remember

IDS: Final = 50_000
"""Latest ids of a partition that are remembered, to tell repetitions."""


class Undecided:
    """Counts transactions that are sent, and those that were passed over.

    Each partition's transactions come in offset order, and so do its decisions; of the two streams either may
    be ahead of the other.
    """

    def __init__(self) -> None:
        self.sent = 0
        """Transactions with an id of their own."""
        self.repeats = 0
        self._waiting: defaultdict[int, OrderedDict[int, None]] = defaultdict(OrderedDict)
        """By partition, offsets of transactions that nothing accounts for, ascending."""
        self._early: defaultdict[int, set[int]] = defaultdict(set)
        """By partition, offsets that were accounted for before their transaction was read."""
        self._read_to: defaultdict[int, int] = defaultdict(lambda: -1)
        self._decided_to: defaultdict[int, int] = defaultdict(lambda: -1)
        self._ids: defaultdict[int, OrderedDict[str, None]] = defaultdict(OrderedDict)

    def add_transaction(self, partition: int, offset: int, tx_id: str | None) -> None:
        """Add a record of `transactions`; `tx_id` is None where the record cannot be read."""
        self._read_to[partition] = offset
        early = self._early[partition]
        is_early = offset in early
        early.discard(offset)
        if tx_id is not None:
            ids = self._ids[partition]
            if tx_id in ids:
                self.repeats += 1
                return
            remember(ids, tx_id, None, IDS)
            self.sent += 1
        if not is_early:
            self._waiting[partition][offset] = None

    def add_decisions(self, partition: int, offsets: Sequence[int]) -> None:
        """Add the first decisions on transactions."""
        self._decided_to[partition] = max(self._decided_to[partition], *offsets)
        self._account_for(partition, offsets)

    def add_dead_letter(self, partition: int, offset: int) -> None:
        """Add a dead letter of a transaction."""
        self._account_for(partition, (offset,))

    def _account_for(self, partition: int, offsets: Sequence[int]) -> None:
        read_to, waiting, early = self._read_to[partition], self._waiting[partition], self._early[partition]
        for offset in offsets:
            if offset > read_to:
                early.add(offset)
            else:
                waiting.pop(offset, None)

    @property
    def waiting(self) -> int:
        """Transactions that nothing accounts for, lost or not."""
        return sum(map(len, self._waiting.values()))

    @property
    def lost(self) -> int:
        """Of those waiting, the ones behind which their partition has been decided already.

        A record that is set aside counts here until its dead letter is read.
        """
        lost = 0
        for partition, offsets in self._waiting.items():
            decided_to = self._decided_to[partition]
            for offset in offsets:
                if offset > decided_to:
                    break
                lost += 1
        return lost
