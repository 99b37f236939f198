"""What this process answered lately: a repeat gets the same, Redis or not. Pure; time in seconds."""

from collections import OrderedDict
from typing import Final

import msgspec

from scorer.http.claims import REPEAT_S, Claim, Earlier, same_body

MOST_BYTES: Final = 32 * 2**20
_OVERHEAD: Final = 600
"""Of an entry, about, bytes."""


class _Kept(msgspec.Struct, gc=False):
    claim: Claim
    decision: bytes | None
    until_s: float

    @property
    def size(self) -> int:
        return _OVERHEAD + len(self.decision or b"")


class KeptReplies:
    """Claims and decisions by tx_id, bounded in size (the oldest go first) and kept as long as in Redis."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        # The first of a plain dict is found by walking past all that were taken out before it.
        self._by_id: OrderedDict[str, _Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_id)

    def find(self, claim: Claim, now_s: float) -> Earlier | None:
        """What stands here under the claim's tx_id."""
        kept = self._live(claim.tx_id, now_s)
        return None if kept is None else Earlier(same_body(kept.claim, claim), kept.decision)

    def holds(self, claim: Claim) -> bool:
        """Whether this very claim was made here."""
        kept = self._by_id.get(claim.tx_id)
        return kept is not None and kept.claim == claim

    def claim(self, claim: Claim, now_s: float) -> None:
        """Its decision is under way."""
        self._put(claim, None, now_s)

    def settle(self, claim: Claim, decision: bytes, now_s: float) -> None:
        """Keep the decision for repeats."""
        self._put(claim, decision, now_s)

    def give_up(self, claim: Claim) -> None:
        """It came to nothing."""
        kept = self._by_id.get(claim.tx_id)
        if kept is not None and kept.claim == claim and kept.decision is None:
            self._drop(claim.tx_id)

    def stored(self, tx_id: str, now_s: float) -> bytes | None:
        """The decision kept for a tx_id."""
        kept = self._live(tx_id, now_s)
        return kept.decision if kept is not None else None

    def _live(self, tx_id: str, now_s: float) -> _Kept | None:
        kept = self._by_id.get(tx_id)
        return kept if kept is not None and now_s < kept.until_s else None

    def _put(self, claim: Claim, decision: bytes | None, now_s: float) -> None:
        self._drop(claim.tx_id)
        kept = self._by_id[claim.tx_id] = _Kept(claim, decision, now_s + REPEAT_S)
        self._bytes += kept.size
        while self._bytes > self._most_bytes:
            _, oldest = self._by_id.popitem(last=False)
            self._bytes -= oldest.size

    def _drop(self, tx_id: str) -> None:
        kept = self._by_id.pop(tx_id, None)
        if kept is not None:
            self._bytes -= kept.size
