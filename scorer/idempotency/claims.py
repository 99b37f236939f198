"""A request's claim on a tx_id, and what an earlier claim on the same tx_id left."""

import hashlib
import os
from dataclasses import dataclass
from itertools import count
from typing import Final

import msgspec

REPLY_TTL_S: Final = 600
"""A repeat within this time gets the stored decision; near the limit of bytes the time is shorter."""
DIGEST_BYTES: Final = 16
TOKEN_BYTES: Final = 8
_tokens = count(int.from_bytes(os.urandom(TOKEN_BYTES)))
"""Unique within a process; two processes share one with a chance of about one in 2^64."""


class Claim(msgspec.Struct, frozen=True, gc=False):
    """One request's claim to decide a tx_id."""

    tx_id: str
    value: bytes
    """Fingerprint of the body as received, then a token that no other request has."""

    @staticmethod
    def of(tx_id: str, body: bytes) -> "Claim":
        # Stripped, because the items of a batch come without the white space around them.
        token = (next(_tokens) % 2 ** (8 * TOKEN_BYTES)).to_bytes(TOKEN_BYTES)
        return Claim(tx_id, hashlib.blake2b(body.strip(), digest_size=DIGEST_BYTES).digest() + token)

    @property
    def key(self) -> str:
        """Redis key."""
        return f"tx:{self.tx_id}"


@dataclass(frozen=True, slots=True)
class PriorClaim:
    """An earlier claim on the same tx_id."""

    same_body: bool
    decision: bytes | None
    """None while the first request is still being decided."""


def same_body(claim: Claim, other: Claim) -> bool:
    """Whether two claims are for the same body."""
    return claim.value[:DIGEST_BYTES] == other.value[:DIGEST_BYTES]
