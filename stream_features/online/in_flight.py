"""What HTTP accepted ahead of the log: counted in by every read, until the log gives it back."""

import heapq
from collections.abc import Collection, Iterable
from typing import Final

from fraudsim.log.events import Transaction
from stream_features.online.unfolded_log import Key, UnfoldedLog
from stream_features.vector import keys_of

MAX_PENDING: Final = 2_000
MAX_PENDING_OF_KEY: Final = 150
"""A decision lists what is pending on its four keys, and goes into the log within the size of an event."""


class InFlightFullError(Exception):
    """More was accepted than the log has given back so far."""


class InFlight:
    """Transactions that HTTP accepted here and that are not read back from the log yet, by key."""

    def __init__(self, tail: UnfoldedLog) -> None:
        self._ends = tail.ends
        self._by_id: dict[str, Transaction] = {}
        self._by_key: dict[Key, dict[str, Transaction]] = {}
        self._placed: list[list[tuple[int, str]]] = [[] for _ in tail.ends]
        """Heaps of (offset, tx_id), by partition: acknowledged by the broker, not read yet."""

    def __len__(self) -> int:
        return len(self._by_id)

    def of(self, key: Key) -> Collection[Transaction]:
        """Those of an (entity, key)."""
        found = self._by_key.get(key)
        return found.values() if found else ()

    def beside(self, tx: Transaction, keys: Iterable[Key]) -> list[str]:
        """Ids of those of these keys, but for `tx` itself."""
        found: dict[str, None] = {}
        for key in keys:
            its = self._by_key.get(key)
            if its and (len(its) > 1 or tx.tx_id not in its):
                found |= dict.fromkeys(its)
        found.pop(tx.tx_id, None)
        return list(found)

    def check_room(self, tx: Transaction) -> None:
        """That one more has room.

        Raises:
            PendingFullError: there are too many, in all or of one of its keys.
        """
        self._check_room(keys_of(tx))

    def _check_room(self, keys: Iterable[Key]) -> None:
        if len(self._by_id) >= MAX_PENDING:
            raise InFlightFullError(f"{len(self._by_id)} transactions wait to be read back from the log")
        for key in keys:
            waiting = len(self.of(key))
            if waiting >= MAX_PENDING_OF_KEY:
                raise InFlightFullError(f"{waiting} transactions of one {key[0]} wait to be read back")

    def accept(self, tx: Transaction) -> None:
        """Count it in from now on. Raises as `check_room` does."""
        keys = keys_of(tx)
        self._check_room(keys)
        self._forget(tx.tx_id)
        self._by_id[tx.tx_id] = tx
        for key in keys:
            self._by_key.setdefault(key, {})[tx.tx_id] = tx

    def drop(self, tx: Transaction) -> None:
        """It did not get into the log. Another one accepted under the same tx_id since then stays."""
        if self._by_id.get(tx.tx_id) is tx:
            self._forget(tx.tx_id)

    def placed(self, tx: Transaction, partition: int, offset: int) -> None:
        """The log has it at this offset: once that is read, it is no longer pending, whatever its fate."""
        if self._by_id.get(tx.tx_id) is not tx:
            return  # read back before the acknowledgement came
        if offset <= self._ends[partition]:
            self._forget(tx.tx_id)
        else:
            heapq.heappush(self._placed[partition], (offset, tx.tx_id))

    def read_back(self, partition: int, tx_id: str) -> None:
        """The log was read up to the tail's end; its newest record bears `tx_id`, or none ("")."""
        self._forget(tx_id)
        placed = self._placed[partition]
        while placed and placed[0][0] <= self._ends[partition]:
            self._forget(heapq.heappop(placed)[1])

    def _forget(self, tx_id: str) -> None:
        tx = self._by_id.pop(tx_id, None)
        if tx is None:
            return
        for key in keys_of(tx):
            found = self._by_key[key]
            del found[tx_id]
            if not found:
                del self._by_key[key]
