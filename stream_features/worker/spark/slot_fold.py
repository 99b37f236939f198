"""Folding a batch into one slot: its packets on the stored state, written through the fence."""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec
from redis.exceptions import RedisError

from fraudsim.errors import FraudsimError
from stream_features.store.keys import blob_key, watermark_key
from stream_features.store.state_store import MAX_BLOBS_PER_CALL, RedisFullError, StateStore
from stream_features.store.watermark import check_watermark, decode_watermark
from stream_features.worker.slot_states import Slot, SlotStates
from stream_features.worker.spark.batch_plan import BatchPlan
from stream_features.worker.spark.slot_packets import SlotPacket, SourceCounts

OutcomeKind = Literal["folded", "fenced", "behind", "not_primed", "refused", "redis_away", "redis_full"]


class SlotOutcome(msgspec.Struct, array_like=True):
    """What became of a slot's part of a batch."""

    slot: int
    kind: OutcomeKind
    detail: str = ""
    stored: bytes = b""
    """The encoded watermark that Redis holds afterwards; where folded."""
    unreadable: int = 0
    """States that could not be read."""
    counts: dict[int, SourceCounts] = {}
    """Of the sources whose home the slot is, by source."""


encode_outcome: Final = msgspec.msgpack.Encoder().encode
decode_outcome: Final = msgspec.msgpack.Decoder(SlotOutcome).decode


async def fold_slot(
    store: StateStore, states: SlotStates, plan: BatchPlan, slot: int, packets: Sequence[SlotPacket]
) -> SlotOutcome:
    """Fold what a batch holds for a slot beyond its watermark, and advance that to the batch's end.

    The watermark in Redis decides: a batch that was folded before changes nothing, and one that begins after
    the watermark is not folded.

    Args:
        states: this process's for the slot; what it has cached is used where Redis still has its watermark.
    """
    try:
        return await _Fold(store, states, plan, slot).run(packets)
    except RedisFullError as error:
        return SlotOutcome(slot, "redis_full", str(error))
    except RedisError as error:
        return SlotOutcome(slot, "redis_away", str(error))


class _Fold:
    def __init__(self, store: StateStore, states: SlotStates, plan: BatchPlan, slot: int) -> None:
        self._store = store
        self._states = states
        self._plan = plan
        self._number = slot
        self._unreadable = 0

    async def run(self, packets: Sequence[SlotPacket]) -> SlotOutcome:
        number, plan = self._number, self._plan
        (stored,) = await self._store.read([watermark_key(number)])
        if stored is None:
            return SlotOutcome(number, "not_primed", f"slot {number} is not primed")
        obstacle = self._obstacle(stored)
        if obstacle is not None:
            return obstacle
        self._states.own(number, stored)
        self._states.rewind()
        slot = self._states.owned[number]
        for packet in sorted(packets, key=lambda packet: packet.source):
            if not await self._add(slot, packet):
                return self._fenced()
        for source, end in enumerate(plan.ends):
            self._states.advance(source, end - 1)
        if not await self._commit(plan.fresh_at_ms):
            return self._fenced()
        counts = {packet.source: packet.counts for packet in packets if packet.counts is not None}
        return SlotOutcome(number, "folded", "", slot.stored, self._unreadable, counts)

    def _obstacle(self, stored: bytes) -> SlotOutcome | None:
        number, plan = self._number, self._plan
        watermark = decode_watermark(stored)
        try:
            check_watermark(watermark, number, plan.segment, plan.sources, plan.settings.slots)
        except FraudsimError as error:
            return SlotOutcome(number, "refused", str(error))
        for source, (offset, start) in enumerate(zip(watermark.offsets, plan.starts, strict=True)):
            if offset + 1 < start:
                return SlotOutcome(
                    number,
                    "behind",
                    f"slot {number} has folded offset {offset} of source {source}, the batch begins at "
                    f"{start}",
                )
        return None

    def _fenced(self) -> SlotOutcome:
        self._states.release([self._number])
        return SlotOutcome(self._number, "fenced", f"another writer has changed slot {self._number}")

    async def _add(self, slot: Slot, packet: SlotPacket) -> bool:
        """Add a packet's rows. A slot's write must fit one call: between two records it may be cut."""
        source, limit = packet.source, MAX_BLOBS_PER_CALL
        previous = -1
        for offset, entity, key, row in packet.rows():
            if offset <= slot.watermark.offsets[source]:
                continue
            if previous not in (-1, offset) and slot.pending_keys() >= limit:
                self._states.advance(source, previous)
                if not await self._commit(None):
                    return False
            pending = slot.pending[entity]
            (pending.add_label if packet.is_label else pending.add_row)(key, row)
            previous = offset
        self._states.advance(source, self._plan.ends[source] - 1)
        return True

    async def _commit(self, fresh_at_ms: int | None) -> bool:
        """Read missing states, fold, write through the fence. False where it refused."""
        states = self._states
        missing = states.missing_states()
        for start in range(0, len(missing), MAX_BLOBS_PER_CALL):
            part = missing[start : start + MAX_BLOBS_PER_CALL]
            blobs = await self._store.read([blob_key(slot, *key) for slot, key in part])
            for (slot, key), blob in zip(part, blobs, strict=True):
                self._unreadable += not states.load_state(slot, key, blob)
        writes = states.fold()
        if not writes:
            return True
        (accepted,) = await self._store.write(writes, fresh_at_ms)
        if accepted:
            states.mark_written(writes[0])
        return accepted
