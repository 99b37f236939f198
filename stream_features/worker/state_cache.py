"""The states that a slot keeps in memory between batches, bounded by bytes."""

from collections import OrderedDict
from typing import Final

Key = tuple[str, str]
"""(entity, key)."""
CACHE_BYTES: Final = 64 << 20
"""Upper bound of one slot's cached states between batches."""
ENTRY_BYTES: Final = 500
"""Memory of one entry beside its blob: the key, its strings, its dict entry."""


class StateCache:
    """Blobs by key, at most `limit_bytes` of them after `trim`; the least recently folded go first."""

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
        """Store a blob as the most recently folded."""
        # Removing the entry first moves it to the end of the order.
        old = self._blobs.pop(key, None)
        self.bytes += len(blob) - len(old) if old is not None else len(blob) + ENTRY_BYTES
        self._blobs[key] = blob

    def trim(self) -> None:
        """Drop entries over the limit. Call it between batches: a batch needs all states that it folds."""
        while self.bytes > self._limit_bytes:
            self.bytes -= ENTRY_BYTES + len(self._blobs.popitem(last=False)[1])
