"""Idle keys: states in Redis that no transaction can see any more, found and removed a few at a time."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from fraudsim.log.clock import Clock
from stream_features.catalogue.features import LABELLED, LONGEST, WINDOWED
from stream_features.kernels import state as states
from stream_features.kernels.state import KERNELS, NO_LABELS, State, UnreadableStateError
from stream_features.store.keys import fresh_key
from stream_features.store.state_store import StateStore

KEYS_PER_STEP: Final = 500
"""Keys that one step asks Redis about: some 5 ms of the worker."""
HEAD_BYTES: Final = 64
"""First bytes of a blob, which have the time of its newest transaction."""


def is_idle(entity: str, state: State, from_ms: int, horizon_ms: int) -> bool:
    """Whether a state differs from that of a key never seen for no transaction at `from_ms` or later.

    The next transaction and label of the key then make the same state of both: what it holds is older than
    every window, and its labels are older than those that count.
    """
    kernel = KERNELS[entity]
    if kernel.newest(state) + LONGEST + horizon_ms >= from_ms:
        return False
    row = np.zeros((1, kernel.width), np.int64)
    row[0, 0] = from_ms
    labels = np.array([[0, from_ms, 0]], np.int64) if entity in LABELLED else NO_LABELS
    after, fresh = (
        states.fold(entity, before, row, labels, horizon_ms) for before in (state, states.empty(entity))
    )
    return bool(np.array_equal(after, fresh))


class IdleKeySweep:
    """Goes through the keys of all slots again and again, and removes the idle ones of this worker's slots.

    A key is idle by the log, not by the clock: what counts is the time up to which its slot is folded.
    """

    def __init__(self, store: StateStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._cursor = 0

    async def step(self, stored: Callable[[], Mapping[int, bytes]]) -> int:
        """Look at the next keys. Returns how many were removed.

        Args:
            stored: the watermarks of the slots that this worker owns, as they are stored at the moment.
        """
        self._cursor, names = await self._store.scan(self._cursor, KEYS_PER_STEP)
        slots = stored().keys()
        keys = [key for key in map(_parts, names) if key is not None and key[0] in slots]
        from_ms = await self._seen_from(sorted({slot for slot, _, _ in keys}))
        heads = await self._store.heads([name for _, _, name in keys], HEAD_BYTES)
        old = [
            (slot, entity, name)
            for (slot, entity, name), head in zip(keys, heads, strict=True)
            if slot in from_ms and _is_old(entity, head, from_ms[slot])
        ]
        idle: defaultdict[int, dict[str, bytes]] = defaultdict(dict)
        blobs = await self._store.read([name for _, _, name in old])
        for (slot, entity, name), blob in zip(old, blobs, strict=True):
            try:
                state = states.from_bytes(entity, blob or b"")
            except UnreadableStateError:
                continue
            if blob is not None and is_idle(entity, state, from_ms[slot], self._clock.horizon_ms):
                idle[slot][name] = blob
        removed = 0
        for slot, unseen in idle.items():
            watermark = stored().get(slot)
            if watermark is not None:
                removed += await self._store.sweep(slot, watermark, unseen)
        return removed

    async def _seen_from(self, slots: list[int]) -> dict[int, int]:
        """Earliest event time at which a transaction may still look at a slot's state, by slot.

        It is that of the folded part of the log, less what a record may be late and a reader behind.
        """
        first, horizon_ms = self._clock.first, self._clock.horizon_ms
        values = await self._store.read([fresh_key(slot) for slot in slots])
        return {
            slot: self._clock.now_ms(int(value)) - first.past_ms - horizon_ms
            for slot, value in zip(slots, values, strict=True)
            if value is not None
        }


def _parts(name: str) -> tuple[int, str, str] | None:
    """(slot, entity, name) of the key of a state; None for another key."""
    slot, _, rest = name.partition("}:")
    entity, _, key = rest.partition(":")
    number = slot.removeprefix("{s")
    return (int(number), entity, name) if key and number.isdecimal() and entity in WINDOWED else None


def _is_old(entity: str, head: bytes, from_ms: int) -> bool:
    """Whether the newest transaction lies behind every window, by the first bytes of a state."""
    words = np.frombuffer(head[: len(head) // 8 * 8], "<i8").astype(np.int64)
    return words.size >= 5 and KERNELS[entity].newest(words) + LONGEST < from_ms
