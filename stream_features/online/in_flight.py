"""In-flight transactions: accepted over HTTP, counted in every read, and not yet read back from the log."""

import heapq
from collections.abc import Collection, Iterable
from typing import Final

from fraudsim.log.events import Transaction
from stream_features.online.unfolded_log import Key, UnfoldedLog
from stream_features.vector import keys_of

MAX_IN_FLIGHT: Final = 2_000
MAX_IN_FLIGHT_OF_KEY: Final = 150
"""A decision lists the in-flight transactions of its four keys and must fit the size limit of an event."""


class InFlightFullError(Exception):
    """Too many accepted transactions have not been read back from the log yet."""


class InFlight:
    """Transactions that this process accepted over HTTP and has not read back from the log, by key."""

    def __init__(self, unfolded: UnfoldedLog) -> None:
        self._ends = unfolded.ends
        self._by_id: dict[str, Transaction] = {}
        self._by_key: dict[Key, dict[str, Transaction]] = {}
        self._acknowledged: list[list[tuple[int, str]]] = [[] for _ in unfolded.ends]
        """Heaps of (offset, tx_id), by partition: acknowledged by the broker, not read yet."""

    def __len__(self) -> int:
        return len(self._by_id)

    def of_key(self, key: Key) -> Collection[Transaction]:
        """The in-flight transactions of an (entity, key)."""
        by_id = self._by_key.get(key)
        return by_id.values() if by_id else ()

    def ids_beside(self, tx: Transaction, keys: Iterable[Key]) -> list[str]:
        """Ids of the in-flight transactions of these keys, except `tx` itself."""
        ids: dict[str, None] = {}
        for key in keys:
            by_id = self._by_key.get(key)
            if by_id and (len(by_id) > 1 or tx.tx_id not in by_id):
                ids |= dict.fromkeys(by_id)
        ids.pop(tx.tx_id, None)
        return list(ids)

    def check_room(self, tx: Transaction) -> None:
        """Check that `tx` could be accepted.

        Raises:
            InFlightFullError: there are too many in-flight transactions, in all or of one of its keys.
        """
        self._check_room(keys_of(tx))

    def _check_room(self, keys: Iterable[Key]) -> None:
        if len(self._by_id) >= MAX_IN_FLIGHT:
            raise InFlightFullError(f"{len(self._by_id)} transactions wait to be read back from the log")
        for key in keys:
            count = len(self.of_key(key))
            if count >= MAX_IN_FLIGHT_OF_KEY:
                raise InFlightFullError(f"{count} transactions of one {key[0]} wait to be read back")

    def accept(self, tx: Transaction) -> None:
        """Count `tx` in every read from now on; it replaces one of the same tx_id. Raises as `check_room`."""
        keys = keys_of(tx)
        self._check_room(keys)
        self._forget(tx.tx_id)
        self._by_id[tx.tx_id] = tx
        for key in keys:
            self._by_key.setdefault(key, {})[tx.tx_id] = tx

    def drop(self, tx: Transaction) -> None:
        """Remove `tx`, which did not reach the log. A later one of the same tx_id stays."""
        if self._by_id.get(tx.tx_id) is tx:
            self._forget(tx.tx_id)

    def acknowledge(self, tx: Transaction, partition: int, offset: int) -> None:
        """Note the offset of `tx` in the log. Reading past it ends its flight, accepted or rejected."""
        if self._by_id.get(tx.tx_id) is not tx:
            return  # read back before the acknowledgement came
        if offset <= self._ends[partition]:
            self._forget(tx.tx_id)
        else:
            heapq.heappush(self._acknowledged[partition], (offset, tx.tx_id))

    def read_back(self, partition: int, tx_id: str) -> None:
        """Remove what the log reader has passed; its newest record has `tx_id`, or "" without one."""
        self._forget(tx_id)
        acknowledged = self._acknowledged[partition]
        while acknowledged and acknowledged[0][0] <= self._ends[partition]:
            self._forget(heapq.heappop(acknowledged)[1])

    def _forget(self, tx_id: str) -> None:
        tx = self._by_id.pop(tx_id, None)
        if tx is None:
            return
        for key in keys_of(tx):
            by_id = self._by_key[key]
            del by_id[tx_id]
            if not by_id:
                del self._by_key[key]
