"""Features as of a transaction: Redis state, the unfolded tail, and the one at hand, each counted once."""

import asyncio
import math
import time
from collections.abc import Awaitable, Collection, Coroutine, Sequence
from dataclasses import dataclass
from operator import gt
from typing import Any, Final

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
    """A slot has no `applied` yet: state is being primed, or was lost."""


class Reading(msgspec.Struct, frozen=True, gc=False):
    """One transaction's features and exactly what they were computed from."""

    features: Vector
    prefix: LogPrefix
    staleness_ms: float
    read_us: int
    """When the state was read, wall clock."""
    stale: bool
    """The tail did not reach back to the watermarks, or a state did not answer: unreadable, or `now` lay
    beyond its horizon."""
    uncertain: bool
    """HTTP only: whether an accepted transaction is in the state already could not be told."""


@dataclass(slots=True)
class _Slot:
    """One slot as Redis has it."""

    name: str
    offsets: list[int]
    """The watermarks, by source partition."""
    fresh_at_ms: float
    covered: bool = False
    """Whether the tail reaches back to the watermarks."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What Redis held of some keys at one moment."""

    read_us: int
    slots: Collection[_Slot]
    slot_of_key: dict[Key, _Slot]
    blobs: dict[Key, bytes | None]


class FeatureReader:
    """Reads many transactions' features in one round trip."""

    def __init__(
        self,
        store: StateStore,
        tail: UnfoldedLog,
        segment: Segment,
        *,
        partitions: int,
        slots: int,
        pending_wait_ms: int,
    ) -> None:
        self._store = store
        self.tail = tail
        self._segment = segment
        self._partitions = partitions
        self._slots = slots
        self._pending_wait_s = pending_wait_ms / 1000
        self.pending = InFlight(tail)
        """HTTP: accepted here and not yet read back from the log."""
        self._folded: list[int] | None = None
        """The watermarks that `prune_tail` found last."""
        self._applied_known: dict[int, tuple[bytes, Watermark]] = {}
        """Decoded and checked last, by slot."""

    async def watermarks(self) -> list[int]:
        """The smallest watermark of every transactions partition, over all slots.

        Raises:
            NotPrimedError: a slot has no state.
            FraudsimError: a slot's state is another log's.
        """
        found = await self._store.read([watermark_key(s) for s in range(self._slots)])
        every = [self._applied(slot, value).offsets for slot, value in enumerate(found)]
        return [min(offsets[p] for offsets in every) for p in range(self._partitions)]

    async def prune_tail(self) -> None:
        """Let the tail go up to the watermarks that the call before this one found. Raises as they do."""
        # A read under way holds the `applied` of its own MGET, which may be older than what is found now;
        # pruned to now, the tail would lack the records between the two for it.
        watermarks = await self.watermarks()
        if self._folded is not None:
            self.tail.prune(self._folded)
        self._folded = watermarks

    def _applied(self, slot: int, value: bytes | None) -> Watermark:
        if value is None:
            raise NotPrimedError(f"slot {slot} has no state")
        known = self._applied_known.get(slot)
        if known is not None and known[0] == value:
            return known[1]
        applied = decode_watermark(value)
        check_watermark(applied, slot, self._segment, 2 * self._partitions, self._slots)
        self._applied_known[slot] = value, applied
        return applied

    def stored(
        self, transactions: Sequence[Transaction], linger_s: float = 0.0
    ) -> Coroutine[Any, Any, Stored]:
        """What Redis holds of the transactions' keys; it is asked at once, whoever waits for the answer when.

        With `linger_s` it is asked together with what else Redis is asked within that time. Whoever waits may
        get what `watermarks` raises, and redis errors.
        """
        slot_by_key = {key: slot_of(*key, self._slots) for tx in transactions for key in keys_of(tx)}
        numbers = sorted(set(slot_by_key.values()))
        reply = self._store.read(
            [
                *(watermark_key(s) for s in numbers),
                *(fresh_key(s) for s in numbers),
                *(blob_key(slot, *key) for key, slot in slot_by_key.items()),
            ],
            linger_s,
        )
        return self._stored(slot_by_key, numbers, reply)

    async def _stored(
        self, slot_by_key: dict[Key, int], numbers: list[int], reply: Awaitable[list[bytes | None]]
    ) -> Stored:
        found = await reply
        n = len(numbers)
        read_us = time.time_ns() // 1000
        slots = {
            number: _Slot(
                str(number), list(self._applied(number, found[i]).offsets), float(found[n + i] or 0)
            )
            for i, number in enumerate(numbers)
        }
        slot_of_key = {key: slots[number] for key, number in slot_by_key.items()}
        return Stored(
            read_us, slots.values(), slot_of_key, dict(zip(slot_by_key, found[2 * n :], strict=True))
        )

    async def read(self, transactions: Sequence[Transaction], *, http: bool = False) -> list[Reading]:
        """Features of each transaction at its own ts. Raises as `stored` does."""
        return await self.of_stored(transactions, await self.stored(transactions), http=http)

    async def of_stored(
        self,
        transactions: Sequence[Transaction],
        stored: Stored,
        *,
        http: bool = False,
        until_s: float = math.inf,
    ) -> list[Reading]:
        """Features of each transaction from what is stored of these, and maybe of others.

        Nothing is waited for, but by HTTP what is pending, by `until_s` (monotonic) at the latest.
        """
        keys_by_tx = [keys_of(tx) for tx in transactions]
        slot_of_key, read_us = stored.slot_of_key, stored.read_us
        doubtful = await self._settle_pending(transactions, stored, until_s) if http else frozenset()
        for slot in stored.slots:
            slot.covered = self.tail.covers(slot.offsets)

        def unfolded(key: Key) -> list[tuple[int, ...]]:
            rows = self.tail.rows(*key, slot_of_key[key].offsets)
            return rows + [ROW_OF[key[0]](tx) for tx in self.pending.of(key)] if http else rows

        features, whole = features_of(
            transactions, keys_by_tx, stored.blobs, unfolded, self._segment.horizon_ms
        )
        reach = list(self.tail.starts), list(self.tail.ends)
        readings = []
        for tx, keys, its, its_whole in zip(transactions, keys_by_tx, features, whole.tolist(), strict=True):
            slots = [slot_of_key[key] for key in keys]
            readings.append(
                Reading(
                    features=its,
                    prefix=LogPrefix(
                        slots={slot.name: slot.offsets for slot in slots},
                        tail_from=reach[0],
                        tail_to=reach[1],
                        pending=self.pending.beside(tx, keys) if http else [],
                    ),
                    staleness_ms=max(0.0, read_us / 1000 - min([slot.fresh_at_ms for slot in slots])),
                    read_us=read_us,
                    stale=not (its_whole and all(slot.covered for slot in slots)),
                    uncertain=not doubtful.isdisjoint(keys),
                )
            )
        return readings

    async def _settle_pending(
        self, transactions: Sequence[Transaction], stored: Stored, until_s: float
    ) -> frozenset[Key]:
        """Wait until no pending transaction can be in the state; the keys of which one still can."""
        asking = {tx.tx_id for tx in transactions}  # not published yet

        def doubtful() -> frozenset[Key]:
            ends = self.tail.ends
            ahead = {slot.name for slot in stored.slots if any(map(gt, slot.offsets, ends))}
            return frozenset(
                key
                for key, slot in stored.slot_of_key.items()
                if slot.name in ahead
                for tx in self.pending.of(key)
                if tx.tx_id not in asking and beyond_tail(slot, tx)
            )

        def beyond_tail(slot: _Slot, tx: Transaction) -> bool:
            partition = partition_of(tx.card_id, self._partitions)
            return slot.offsets[partition] > self.tail.ends[partition]

        until_s = min(until_s, time.monotonic() + self._pending_wait_s)
        while found := doubtful():
            if time.monotonic() > until_s:
                break
            await asyncio.sleep(WAIT_STEP_S)
        return found
