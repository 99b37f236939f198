"""The feature reader: Redis state, unfolded log and the transaction itself, each event counted once."""

import asyncio
import math
import time
from collections.abc import Awaitable, Collection, Coroutine, Sequence
from dataclasses import dataclass
from operator import gt
from typing import Any, Final, Protocol

import msgspec

from fraudsim.log.events import LogPrefix, Segment, Transaction
from fraudsim.log.partitioning import partition_of, slot_of
from stream_features.encode import ROW_OF
from stream_features.kernels.state import Vector
from stream_features.online.batch_read import features_of
from stream_features.online.in_flight import InFlight
from stream_features.online.unfolded_log import Key, UnfoldedLog
from stream_features.store.keys import blob_key, fresh_key, watermark_key
from stream_features.store.state_store import StateStore
from stream_features.store.watermark import Watermark, check_watermark, decode_watermark
from stream_features.vector import keys_of

WAIT_STEP_S: Final = 0.001


class NotPrimedError(Exception):
    """A slot has no watermark: its state is being primed, or was lost."""


class Reading(msgspec.Struct, frozen=True, gc=False):
    """One transaction's features and exactly what they were computed from."""

    features: Vector
    prefix: LogPrefix
    staleness_ms: float
    read_us: int
    """When the state was read, wall clock."""
    stale: bool
    """The unfolded log did not reach back to the watermarks, or a state did not answer: it was unreadable, or
    `now` lay beyond its horizon."""
    uncertain: bool
    """HTTP only: the state may already hold an in-flight transaction of the same key."""
    lag_ms: int = 0
    """Events of the last so many ms of event time were left out on purpose."""


@dataclass(slots=True)
class _SlotSnapshot:
    """One slot as Redis had it."""

    name: str
    offsets: list[int]
    """The watermarks, by source partition."""
    fresh_at_ms: float
    covered: bool = False
    """Whether the unfolded log reaches back to the watermarks."""


@dataclass(frozen=True, slots=True)
class StateSnapshot:
    """What Redis held of some keys at one moment."""

    read_us: int
    slots: Collection[_SlotSnapshot]
    slot_of_key: dict[Key, _SlotSnapshot]
    blobs: dict[Key, bytes | None]


class FeatureSource(Protocol):
    """What gives a decision its features."""

    def fetch_state(
        self, transactions: Sequence[Transaction], linger_s: float = 0.0
    ) -> Coroutine[Any, Any, StateSnapshot]:
        """See `FeatureReader.fetch_state`."""
        ...

    async def readings(
        self,
        transactions: Sequence[Transaction],
        state: StateSnapshot,
        *,
        http: bool = False,
        until_s: float = math.inf,
    ) -> list[Reading]:
        """See `FeatureReader.readings`."""
        ...


class FeatureReader:
    """Reads the features of many transactions in one round trip."""

    def __init__(
        self,
        store: StateStore,
        unfolded: UnfoldedLog,
        segment: Segment,
        *,
        partitions: int,
        slots: int,
        pending_wait_ms: int,
        reads_unfolded: bool = True,
    ) -> None:
        """Without `reads_unfolded` features are those of the folded state alone."""
        self._store = store
        self._reads_unfolded = reads_unfolded
        self.unfolded = unfolded
        self._segment = segment
        self._partitions = partitions
        self._slots = slots
        self._in_flight_wait_s = pending_wait_ms / 1000
        self.in_flight = InFlight(unfolded)
        """HTTP: accepted here and not yet read back from the log."""
        self._last_watermarks: list[int] | None = None
        """What the last `prune_unfolded` read."""
        self._watermark_by_slot: dict[int, tuple[bytes, Watermark]] = {}
        """The last watermark decoded and checked, with its bytes."""

    async def watermarks(self) -> list[int]:
        """The smallest watermark of each partition of `transactions`, over all slots.

        Raises:
            NotPrimedError: a slot has no state.
            FraudsimError: a slot's state belongs to another log.
        """
        values = await self._store.read([watermark_key(s) for s in range(self._slots)])
        offsets_by_slot = [self._checked_watermark(slot, value).offsets for slot, value in enumerate(values)]
        return [min(offsets[p] for offsets in offsets_by_slot) for p in range(self._partitions)]

    async def prune_unfolded(self) -> None:
        """Prune the unfolded log to the watermarks that the previous call read. Raises as `watermarks`."""
        # A read under way holds the watermark of its own MGET, which may be older than the one read now.
        # Pruned to the newer one, the unfolded log would lack the records between the two.
        watermarks = await self.watermarks()
        if self._last_watermarks is not None:
            self.unfolded.prune(self._last_watermarks)
        self._last_watermarks = watermarks

    def _checked_watermark(self, slot: int, value: bytes | None) -> Watermark:
        if value is None:
            raise NotPrimedError(f"slot {slot} has no state")
        cached = self._watermark_by_slot.get(slot)
        if cached is not None and cached[0] == value:
            return cached[1]
        watermark = decode_watermark(value)
        check_watermark(watermark, slot, self._segment, 2 * self._partitions, self._slots)
        self._watermark_by_slot[slot] = value, watermark
        return watermark

    def fetch_state(
        self, transactions: Sequence[Transaction], linger_s: float = 0.0
    ) -> Coroutine[Any, Any, StateSnapshot]:
        """Read from Redis the state of the transactions' keys.

        The request is sent at once, before the result is awaited. With `linger_s` it joins other requests
        made within that time. Awaiting it raises what `watermarks` raises, and redis errors.
        """
        slot_by_key = {key: slot_of(*key, self._slots) for tx in transactions for key in keys_of(tx)}
        slots = sorted(set(slot_by_key.values()))
        reply = self._store.read(
            [
                *(watermark_key(s) for s in slots),
                *(fresh_key(s) for s in slots),
                *(blob_key(slot, *key) for key, slot in slot_by_key.items()),
            ],
            linger_s,
        )
        return self._decode_state(slot_by_key, slots, reply)

    async def _decode_state(
        self, slot_by_key: dict[Key, int], slots: list[int], reply: Awaitable[list[bytes | None]]
    ) -> StateSnapshot:
        values = await reply
        n = len(slots)
        read_us = time.time_ns() // 1000
        snapshots = {
            slot: _SlotSnapshot(
                str(slot), list(self._checked_watermark(slot, values[i]).offsets), float(values[n + i] or 0)
            )
            for i, slot in enumerate(slots)
        }
        slot_of_key = {key: snapshots[slot] for key, slot in slot_by_key.items()}
        return StateSnapshot(
            read_us, snapshots.values(), slot_of_key, dict(zip(slot_by_key, values[2 * n :], strict=True))
        )

    async def read(self, transactions: Sequence[Transaction], *, http: bool = False) -> list[Reading]:
        """Features of each transaction at its own ts. Raises as `fetch_state` does."""
        return await self.readings(transactions, await self.fetch_state(transactions), http=http)

    async def readings(
        self,
        transactions: Sequence[Transaction],
        state: StateSnapshot,
        *,
        http: bool = False,
        until_s: float = math.inf,
    ) -> list[Reading]:
        """Features of each transaction from a snapshot that holds its keys, and perhaps others.

        Waits for nothing, except over HTTP for in-flight transactions, until `until_s` (monotonic) at most.
        """
        keys_by_tx = [keys_of(tx) for tx in transactions]
        slot_of_key, read_us = state.slot_of_key, state.read_us
        http = http and self._reads_unfolded
        uncertain_keys = await self._await_in_flight(transactions, state, until_s) if http else frozenset()
        for slot in state.slots:
            slot.covered = not self._reads_unfolded or self.unfolded.covers(slot.offsets)

        def unfolded_rows(key: Key) -> list[tuple[int, ...]]:
            if not self._reads_unfolded:
                return []
            rows = self.unfolded.rows(*key, slot_of_key[key].offsets)
            return rows + [ROW_OF[key[0]](tx) for tx in self.in_flight.of_key(key)] if http else rows

        features, is_whole = features_of(
            transactions, keys_by_tx, state.blobs, unfolded_rows, self._segment.horizon_ms
        )
        unfolded_from, unfolded_to = list(self.unfolded.starts), list(self.unfolded.ends)
        if not self._reads_unfolded:
            unfolded_from, unfolded_to = [0] * self._partitions, [-1] * self._partitions
        results = []
        for tx, keys, vector, vector_is_whole in zip(
            transactions, keys_by_tx, features, is_whole.tolist(), strict=True
        ):
            slots = [slot_of_key[key] for key in keys]
            results.append(
                Reading(
                    features=vector,
                    prefix=LogPrefix(
                        slots={slot.name: slot.offsets for slot in slots},
                        tail_from=unfolded_from,
                        tail_to=unfolded_to,
                        pending=self.in_flight.ids_beside(tx, keys) if http else [],
                    ),
                    staleness_ms=max(0.0, read_us / 1000 - min([slot.fresh_at_ms for slot in slots])),
                    read_us=read_us,
                    stale=not (vector_is_whole and all(slot.covered for slot in slots)),
                    uncertain=not uncertain_keys.isdisjoint(keys),
                )
            )
        return results

    async def _await_in_flight(
        self, transactions: Sequence[Transaction], state: StateSnapshot, until_s: float
    ) -> frozenset[Key]:
        """Wait until the state can hold no in-flight transaction; return the keys for which it still can.

        That is possible where a slot's watermark is ahead of this process's own reading of the log.
        """
        own_ids = {tx.tx_id for tx in transactions}  # not published yet

        def uncertain_keys() -> frozenset[Key]:
            ends = self.unfolded.ends
            slots_ahead = {slot.name for slot in state.slots if any(map(gt, slot.offsets, ends))}
            return frozenset(
                key
                for key, slot in state.slot_of_key.items()
                if slot.name in slots_ahead
                for tx in self.in_flight.of_key(key)
                if tx.tx_id not in own_ids and is_ahead(slot, tx)
            )

        def is_ahead(slot: _SlotSnapshot, tx: Transaction) -> bool:
            partition = partition_of(tx.card_id, self._partitions)
            return slot.offsets[partition] > self.unfolded.ends[partition]

        until_s = min(until_s, time.monotonic() + self._in_flight_wait_s)
        while keys := uncertain_keys():
            if time.monotonic() > until_s:
                break
            await asyncio.sleep(WAIT_STEP_S)
        return keys
