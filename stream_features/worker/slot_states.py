"""Folding a stretch of the log into the slots a worker owns. Pure: states come in and go out as bytes."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from fraudsim.errors import InvariantError
from fraudsim.log.events import Label, Transaction
from fraudsim.log.partitioning import slot_of
from stream_features.catalogue.features import KEY_FIELD, LABELLED, WINDOWED
from stream_features.encode import label_row, rows_of
from stream_features.kernels import state as states
from stream_features.kernels.state import EMPTY, UNREADABLE, UnreadableStateError
from stream_features.store.state_store import MAX_BLOBS_PER_CALL, SlotWrite, blob_key
from stream_features.store.watermark import Watermark, decode_watermark, encode_watermark
from stream_features.vector import key_values
from stream_features.worker.pending_rows import PendingRows

Key = tuple[str, str]
CACHE_BYTES: Final = 64 << 20
"""What the states that a slot keeps between batches may take."""
ENTRY_BYTES: Final = 500
"""What one of them takes beside its content: key, its strings, its place in the dict."""


class StateCache:
    """Blobs by key, at most `limit_bytes` of them: those folded longest ago go first."""

    def __init__(self, limit_bytes: int = CACHE_BYTES) -> None:
        self.bytes = 0
        self._limit_bytes = limit_bytes
        self._blobs: OrderedDict[Key, bytes] = OrderedDict()

    def __len__(self) -> int:
        return len(self._blobs)

    def __contains__(self, key: Key) -> bool:
        return key in self._blobs

    def __getitem__(self, key: Key) -> bytes:
        return self._blobs[key]

    def put(self, key: Key, blob: bytes) -> None:
        """Keep a blob as the latest."""
        # Taken out first, it goes to the end when it is put back.
        before = self._blobs.pop(key, None)
        self.bytes += len(blob) - len(before) if before is not None else len(blob) + ENTRY_BYTES
        self._blobs[key] = blob

    def trim(self) -> None:
        """Drop what is over the limit. Between batches: within one, all that it folds must be there."""
        while self.bytes > self._limit_bytes:
            self.bytes -= ENTRY_BYTES + len(self._blobs.popitem(last=False)[1])


@dataclass(slots=True)
class Slot:
    """One owned slot: its fence as stored, its cached states, and what the batch at hand adds."""

    number: int
    stored: bytes
    applied: Watermark
    states: StateCache = field(default_factory=StateCache)
    added: dict[str, PendingRows] = field(
        default_factory=lambda: {entity: PendingRows(entity) for entity in WINDOWED}
    )
    """By entity."""
    ready: bool = True
    """False while another reading still brings it up to `applied`: it is gathered for, and not written."""
    settled: bool = True
    """False from a fold on until its write went through: the cached states are ahead of `stored`."""

    def keys(self) -> int:
        """How many the batch writes."""
        return sum(map(len, self.added.values()))

    def forget(self) -> None:
        """Leave out what was gathered."""
        for added in self.added.values():
            added.clear()


class SlotStates:
    """The slots a worker owns, and the batch being gathered for them."""

    def __init__(self, partitions: int, slots: int, horizon_ms: int) -> None:
        self.partitions = partitions
        self.slots = slots
        self.horizon_ms = horizon_ms
        self.owned: dict[int, Slot] = {}
        self.ends = [-1] * (2 * partitions)
        """Last offset gathered, by source."""
        self.transactions = 0
        """Transactions gathered since the last `writes`."""

    def own(self, number: int, stored: bytes) -> None:
        """Take a slot over (again) as Redis has it; where it is as it was left, its cached states hold."""
        known = self.owned.get(number)
        if known is None or not (known.ready and known.settled and known.stored == stored):
            self.owned[number] = Slot(number, stored, decode_watermark(stored))

    def expect(self, number: int, stored: bytes, until: Sequence[int]) -> None:
        """Take over a slot that another reading will have folded up to the offsets `until`, left out."""
        self.own(number, stored)
        slot = self.owned[number]
        slot.applied = slot.applied.moved_to([offset - 1 for offset in until])
        slot.ready = False

    def hand_over(self, number: int, stored: bytes) -> None:
        """An expected slot is where it should be.

        Raises:
            InvariantError: it is elsewhere.
        """
        slot = self.owned[number]
        if decode_watermark(stored) != slot.applied:
            raise InvariantError(f"slot {number} was caught up to {stored!r}, expected {slot.applied}")
        slot.stored, slot.ready = stored, True

    @property
    def ready(self) -> dict[int, Slot]:
        """The owned slots that are written."""
        return {number: slot for number, slot in self.owned.items() if slot.ready}

    def release(self, numbers: Iterable[int]) -> None:
        """Give slots up; what was gathered for them is forgotten."""
        for number in numbers:
            self.owned.pop(number, None)

    def start(self) -> list[int]:
        """First offset to fold, by source: the smallest over the owned slots."""
        return [
            min(s.applied.offsets[i] for s in self.ready.values()) + 1 for i in range(2 * self.partitions)
        ]

    def rewound(self) -> None:
        """The log is read again from `start`: what was gathered is forgotten."""
        for slot in self.owned.values():
            slot.forget()
        self.ends = [first - 1 for first in self.start()]
        self.transactions = 0

    def transaction(self, partition: int, offset: int, tx: Transaction) -> None:
        """Gather a transaction that counts."""
        owned, slots = self.owned, self.slots
        for entity, key, row in zip(WINDOWED, key_values(tx), rows_of(tx), strict=True):
            if key is None:
                continue
            slot = owned.get(slot_of(entity, key, slots))
            if slot is not None and offset > slot.applied.offsets[partition]:
                slot.added[entity].row(key, row)
        self.transactions += 1

    def label(self, partition: int, offset: int, label: Label) -> None:
        """Gather a label that counts."""
        for entity in LABELLED:
            key = getattr(label, KEY_FIELD[entity])
            slot = self.owned.get(slot_of(entity, key, self.slots)) if key is not None else None
            if slot is not None and offset > slot.applied.offsets[self.partitions + partition]:
                slot.added[entity].label(key, label_row(label))

    def passed(self, source: int, offset: int) -> None:
        """Everything of a source up to this offset has been gathered, or does not count."""
        self.ends[source] = offset

    def missing(self) -> list[tuple[int, Key]]:
        """Keys of the batch whose state is not cached."""
        return [
            (slot.number, (entity, key))
            for slot in self.ready.values()
            for entity, added in slot.added.items()
            for key in added.keys
            if (entity, key) not in slot.states
        ]

    def provide(self, slot: int, key: Key, blob: bytes | None) -> bool:
        """Put a state read from Redis into the cache; False where it cannot be read."""
        owner = self.owned[slot]
        if blob is None:
            owner.states.put(key, EMPTY[key[0]])
            return True
        try:
            states.from_bytes(key[0], blob)
        except UnreadableStateError:
            owner.states.put(key, UNREADABLE)
            return False
        owner.states.put(key, blob)
        return True

    def writes(self) -> list[SlotWrite]:
        """Fold the batch and hand out each slot's write; the states in the cache are the new ones."""
        result: list[SlotWrite] = []
        for slot in self.ready.values():
            applied = slot.applied.moved_to(self.ends)
            if applied == slot.applied:
                continue
            blobs: dict[str, bytes] = {}
            for entity, added in slot.added.items():
                if added:
                    blobs |= self._fold(slot, entity, added)
            slot.forget()
            slot.settled = False
            result.append(SlotWrite(slot.number, slot.stored, encode_watermark(applied), blobs))
        self.transactions = 0
        return result

    def _fold(self, slot: Slot, entity: str, added: PendingRows) -> dict[str, bytes]:
        cache, prefix = slot.states, blob_key(slot.number, entity, "")
        folded = added.fold([cache[entity, key] for key in added.keys], self.horizon_ms)
        blobs: dict[str, bytes] = {}
        for key, blob in zip(added.keys, folded, strict=True):
            if blob != UNREADABLE:
                cache.put((entity, key), blob)
                blobs[prefix + key] = blob
        return blobs

    def largest_pending(self) -> int:
        """Keys that the fullest slot would write: batches are cut so that they fit one call."""
        return max((s.keys() for s in self.ready.values()), default=0)

    def full(self, max_transactions: int) -> bool:
        """Whether the batch should be written before more is gathered."""
        return self.transactions >= max_transactions or self.largest_pending() >= MAX_BLOBS_PER_CALL

    def written(self, write: SlotWrite) -> None:
        """A slot's write went through."""
        slot = self.owned.get(write.slot)
        if slot is not None:
            slot.settled = True
            slot.stored = write.applied
            slot.applied = decode_watermark(write.applied)
            slot.states.trim()
