"""The slots that a worker owns, their cached states, and the batch pending for them. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from fraudsim.errors import InvariantError
from fraudsim.log.events import Label, Transaction
from fraudsim.log.partitioning import slot_of
from stream_features.catalogue.features import KEY_FIELD, LABELLED, WINDOWED
from stream_features.encode import label_row, rows_of
from stream_features.kernels import state as states
from stream_features.kernels.state import EMPTY, UNREADABLE, UnreadableStateError
from stream_features.store.keys import blob_key
from stream_features.store.state_store import MAX_BLOBS_PER_CALL, SlotWrite
from stream_features.store.watermark import Watermark, decode_watermark, encode_watermark
from stream_features.vector import key_values
from stream_features.worker.pending_rows import PendingRows
from stream_features.worker.state_cache import Key, StateCache


@dataclass(slots=True)
class Slot:
    """One owned slot: its fence as stored, its cached states, and its pending rows."""

    number: int
    stored: bytes
    """The encoded watermark that Redis holds."""
    watermark: Watermark
    states: StateCache = field(default_factory=StateCache)
    pending: dict[str, PendingRows] = field(
        default_factory=lambda: {entity: PendingRows(entity) for entity in WINDOWED}
    )
    """By entity."""
    ready: bool = True
    """False while a second reader catches the slot up to `watermark`: rows are collected, not written."""
    states_stored: bool = True
    """False from a fold until its write succeeds: the cached states are ahead of `stored`."""

    def pending_keys(self) -> int:
        """Number of keys that the batch writes."""
        return sum(map(len, self.pending.values()))

    def clear_pending(self) -> None:
        for rows in self.pending.values():
            rows.clear()


class SlotStates:
    """The slots a worker owns, and the batch being collected for them."""

    def __init__(self, partitions: int, slots: int, horizon_ms: int) -> None:
        self.partitions = partitions
        self.slots = slots
        self.horizon_ms = horizon_ms
        self.owned: dict[int, Slot] = {}
        """By slot number."""
        self.ends = [-1] * (2 * partitions)
        """Last offset collected, by source."""
        self.transactions = 0
        """Transactions collected since the last `fold`; without those that are only read for their ids."""
        self._starts = [0] * (2 * partitions)
        """First offset to fold since the last rewind, by source."""

    # Ownership

    def own(self, number: int, stored: bytes) -> None:
        """Take a slot over as Redis has it; cached states stay if the watermark is the one last written."""
        slot = self.owned.get(number)
        if slot is None or not (slot.ready and slot.states_stored and slot.stored == stored):
            self.owned[number] = Slot(number, stored, decode_watermark(stored))

    def own_lagging(self, number: int, stored: bytes, until: Sequence[int]) -> None:
        """Take over a slot that a second reader folds up to the offsets `until`, exclusive, by source."""
        self.own(number, stored)
        slot = self.owned[number]
        slot.watermark = slot.watermark.advance_to([offset - 1 for offset in until])
        slot.ready = False

    def finish_catch_up(self, number: int, stored: bytes) -> None:
        """Mark a lagging slot as ready, with the watermark that its catch-up wrote.

        Raises:
            InvariantError: that watermark is not the one `own_lagging` announced.
        """
        slot = self.owned[number]
        if decode_watermark(stored) != slot.watermark:
            raise InvariantError(f"slot {number} was caught up to {stored!r}, expected {slot.watermark}")
        slot.stored, slot.ready = stored, True

    @property
    def ready(self) -> dict[int, Slot]:
        """The owned slots that are written."""
        return {number: slot for number, slot in self.owned.items() if slot.ready}

    def release(self, numbers: Iterable[int]) -> None:
        """Give slots up, with their pending rows."""
        for number in numbers:
            self.owned.pop(number, None)

    def start_offsets(self) -> list[int]:
        """First offset to fold, by source: the smallest over the ready slots."""
        return [
            min(slot.watermark.offsets[source] for slot in self.ready.values()) + 1
            for source in range(2 * self.partitions)
        ]

    def rewind(self) -> None:
        """Drop all pending rows: the log is read again from `start_offsets`."""
        for slot in self.owned.values():
            slot.clear_pending()
        self._starts = self.start_offsets()
        self.ends = [first - 1 for first in self._starts]
        self.transactions = 0

    # Collecting a batch

    def add_transaction(self, partition: int, offset: int, tx: Transaction) -> None:
        """Collect an accepted transaction's rows, for the owned slots that have not folded its offset."""
        owned, slots = self.owned, self.slots
        for entity, key, row in zip(WINDOWED, key_values(tx), rows_of(tx), strict=True):
            if key is None:
                continue
            slot = owned.get(slot_of(entity, key, slots))
            if slot is not None and offset > slot.watermark.offsets[partition]:
                slot.pending[entity].add_row(key, row)
        self.transactions += offset >= self._starts[partition]

    def add_label(self, partition: int, offset: int, label: Label) -> None:
        """Collect an accepted label's rows, as `add_transaction` does."""
        for entity in LABELLED:
            key = getattr(label, KEY_FIELD[entity])
            slot = self.owned.get(slot_of(entity, key, self.slots)) if key is not None else None
            if slot is not None and offset > slot.watermark.offsets[self.partitions + partition]:
                slot.pending[entity].add_label(key, label_row(label))

    def advance(self, source: int, offset: int) -> None:
        """Record that every accepted event of a source up to `offset`, inclusive, has been collected."""
        self.ends[source] = max(self.ends[source], offset)

    def largest_pending(self) -> int:
        """Largest number of pending keys of a ready slot: a slot's write has to fit one call."""
        return max((slot.pending_keys() for slot in self.ready.values()), default=0)

    def largest_waiting(self) -> int:
        """Largest number of pending keys of a slot that a second reader catches up."""
        return max((slot.pending_keys() for slot in self.owned.values() if not slot.ready), default=0)

    def is_full(self, max_transactions: int) -> bool:
        """Whether the batch should be written before more is collected."""
        return self.transactions >= max_transactions or self.largest_pending() >= MAX_BLOBS_PER_CALL

    # Folding and writing it

    def missing_states(self) -> list[tuple[int, Key]]:
        """(slot number, key) of the batch's keys whose state is not cached."""
        return [
            (slot.number, (entity, key))
            for slot in self.ready.values()
            for entity, pending in slot.pending.items()
            for key in pending.keys
            if (entity, key) not in slot.states
        ]

    def load_state(self, number: int, key: Key, blob: bytes | None) -> bool:
        """Cache a state read from Redis, None for a key never seen; False where it cannot be read."""
        cache = self.owned[number].states
        if blob is None:
            cache.put(key, EMPTY[key[0]])
            return True
        try:
            states.from_bytes(key[0], blob)
        except UnreadableStateError:
            cache.put(key, UNREADABLE)
            return False
        cache.put(key, blob)
        return True

    def fold(self) -> list[SlotWrite]:
        """Fold the pending rows into the cached states; the writes of the slots whose watermark advances."""
        writes: list[SlotWrite] = []
        for slot in self.ready.values():
            watermark = slot.watermark.advance_to(self.ends)
            if watermark == slot.watermark:
                continue
            blobs: dict[str, bytes] = {}
            for entity, pending in slot.pending.items():
                if pending:
                    blobs |= self._fold_entity(slot, entity, pending)
            slot.clear_pending()
            slot.states_stored = False
            writes.append(SlotWrite(slot.number, slot.stored, encode_watermark(watermark), blobs))
        self.transactions = 0
        return writes

    def _fold_entity(self, slot: Slot, entity: str, pending: PendingRows) -> dict[str, bytes]:
        cache, prefix = slot.states, blob_key(slot.number, entity, "")
        folded = pending.fold([cache[entity, key] for key in pending.keys], self.horizon_ms)
        blobs: dict[str, bytes] = {}
        for key, blob in zip(pending.keys, folded, strict=True):
            if blob != UNREADABLE:
                cache.put((entity, key), blob)
                blobs[prefix + key] = blob
        return blobs

    def mark_written(self, write: SlotWrite) -> None:
        """Advance a slot's watermark after its write succeeded, and trim its cache."""
        slot = self.owned.get(write.slot)
        if slot is not None:
            slot.states_stored = True
            slot.stored = write.watermark
            slot.watermark = decode_watermark(write.watermark)
            slot.states.trim()
