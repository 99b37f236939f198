"""Claims and replies in this process's memory, for repeats without Redis. Pure; time in seconds."""

from collections import OrderedDict
from typing import Final

import msgspec

from scorer.idempotency.claims import REPLY_TTL_S, Claim, PriorClaim, same_body

MAX_BYTES: Final = 32 * 2**20
_OVERHEAD_BYTES: Final = 600
"""Approximate size of an entry without its decision."""


class _Entry(msgspec.Struct, gc=False):
    claim: Claim
    decision: bytes | None
    until_s: float

    @property
    def size(self) -> int:
        return _OVERHEAD_BYTES + len(self.decision or b"")


class LocalClaims:
    """Claims and replies by tx_id, bounded in bytes (oldest evicted first), kept as long as in Redis."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        # Not a plain dict: finding its first entry walks past all that were removed before it.
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, claim: Claim, now_s: float) -> PriorClaim | None:
        """The claim held here on the same tx_id."""
        entry = self._live(claim.tx_id, now_s)
        return None if entry is None else PriorClaim(same_body(entry.claim, claim), entry.decision)

    def holds(self, claim: Claim) -> bool:
        """Whether this very claim was made here."""
        entry = self._entries.get(claim.tx_id)
        return entry is not None and entry.claim == claim

    def claim(self, claim: Claim, now_s: float) -> None:
        """Hold a claim whose decision is being made."""
        self._put(claim, None, now_s)

    def store(self, claim: Claim, decision: bytes, now_s: float) -> None:
        """Store the decision for repeats."""
        self._put(claim, decision, now_s)

    def release(self, claim: Claim) -> None:
        """Drop a claim without a decision."""
        entry = self._entries.get(claim.tx_id)
        if entry is not None and entry.claim == claim and entry.decision is None:
            self._drop(claim.tx_id)

    def stored_reply(self, tx_id: str, now_s: float) -> bytes | None:
        """The decision stored for a tx_id."""
        entry = self._live(tx_id, now_s)
        return entry.decision if entry is not None else None

    def _live(self, tx_id: str, now_s: float) -> _Entry | None:
        entry = self._entries.get(tx_id)
        return entry if entry is not None and now_s < entry.until_s else None

    def _put(self, claim: Claim, decision: bytes | None, now_s: float) -> None:
        self._drop(claim.tx_id)
        entry = self._entries[claim.tx_id] = _Entry(claim, decision, now_s + REPLY_TTL_S)
        self._bytes += entry.size
        while self._bytes > self._max_bytes:
            _, oldest = self._entries.popitem(last=False)
            self._bytes -= oldest.size

    def _drop(self, tx_id: str) -> None:
        entry = self._entries.pop(tx_id, None)
        if entry is not None:
            self._bytes -= entry.size
