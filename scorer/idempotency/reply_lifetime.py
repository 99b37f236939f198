"""How long a stored reply is kept, so that one process keeps a bounded number of bytes. Pure."""

from typing import Final

from scorer.idempotency.claims import REPLY_TTL_S

OVERHEAD_BYTES: Final = 200
"""Approximate size of an entry of Redis beside its key and value."""


class ReplyLifetime:
    """Knows what was stored and has not expired; the fuller the budget, the shorter the next replies live.

    Up to half the budget replies live for REPLY_TTL_S; from there on the time falls in proportion to the room
    left, to one second. So at most the budget and what is stored within one second are kept.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept = 0
        self._expiring: dict[int, int] = {}
        """Bytes by the second in which they expire."""
        self._next_s = 0
        """First second whose bytes may still be kept."""

    def kept_bytes(self, now_s: float) -> int:
        """Bytes of the replies that have not expired."""
        second = int(now_s)
        if self._expiring:
            for expired in range(self._next_s, min(second, self._next_s + REPLY_TTL_S + 2)):
                self._kept -= self._expiring.pop(expired, 0)
        self._next_s = max(second, self._next_s)
        return self._kept

    def take(self, size: int, now_s: float) -> int:
        """Count a reply of this many bytes, with its key; returns for how many seconds to keep it."""
        size += OVERHEAD_BYTES
        room = 1 - (self.kept_bytes(now_s) + size) / self._max_bytes
        ttl_s = max(1, min(REPLY_TTL_S, int(REPLY_TTL_S * 2 * room)))
        expires_s = int(now_s) + ttl_s + 1
        self._expiring[expires_s] = self._expiring.get(expires_s, 0) + size
        self._kept += size
        return ttl_s
