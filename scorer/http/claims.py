"""One decision for one tx_id over HTTP: settled by a single SET NX before scoring."""

import hashlib
import os
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

import msgspec

from stream_features.store.connection import RedisClient

CLAIM_MS: Final = 5_000
"""A claim whose scorer died is free again after this."""
REPEAT_S: Final = 600
"""A repeat within this gets the stored decision."""
_DIGEST: Final = 16
_TOKEN: Final = 8
_tokens = count(int.from_bytes(os.urandom(_TOKEN)))
"""No two alike in a process, nor, but for one chance in 2^64 or so, in two."""

RELEASE: Final = (
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
)

KEEP: Final = (
    "local old = redis.call('GET', KEYS[1]) "
    "if old and string.sub(old, 1, string.len(ARGV[1])) ~= ARGV[1] then return 0 end "
    "redis.call('SET', KEYS[1], ARGV[1] .. ARGV[2], 'EX', ARGV[3]) return 1"
)


class Claim(msgspec.Struct, frozen=True, gc=False):
    """One request's claim to decide a tx_id."""

    tx_id: str
    value: bytes
    """Fingerprint of the body as received, then a token that no other request has."""

    @staticmethod
    def of(tx_id: str, body: bytes) -> "Claim":
        # A batch's items come without the white space around them.
        token = (next(_tokens) % 2 ** (8 * _TOKEN)).to_bytes(_TOKEN)
        return Claim(tx_id, hashlib.blake2b(body.strip(), digest_size=_DIGEST).digest() + token)

    @property
    def name(self) -> str:
        return f"tx:{self.tx_id}"


@dataclass(frozen=True, slots=True)
class Earlier:
    """What is known of a tx_id that was claimed before."""

    same_body: bool
    decision: bytes | None
    """None while the first request is still being decided."""


def same_body(one: Claim, other: Claim) -> bool:
    """Whether two claims are for the same body."""
    return one.value[:_DIGEST] == other.value[:_DIGEST]


class Idempotency:
    """Claims and answers by tx_id, in Redis. All raise RedisError where it cannot be reached."""

    def __init__(self, link: RedisClient) -> None:
        self._link = link

    async def claim(self, claim: Claim) -> Earlier | None:
        """Claim a tx_id; None if it is ours now, else what stands there."""
        (found,) = await self.claim_all([claim])
        return found

    def claim_all(self, claims: Sequence[Claim]) -> Awaitable[list[Earlier | None]]:
        """Claim many tx_ids, no two the same, as `claim` does one; Redis is asked at once."""
        sets = [("SET", claim.name, claim.value, "NX", "PX", CLAIM_MS) for claim in claims]
        return self._claimed(claims, self._link.execute_many(sets))

    async def _claimed(self, claims: Sequence[Claim], replies: Awaitable[list[Any]]) -> list[Earlier | None]:
        return [
            None if claimed else await self._standing(claim)
            for claimed, claim in zip(await replies, claims, strict=True)
        ]

    async def _standing(self, claim: Claim) -> Earlier | None:
        """What stands where a claim found something; None where it is its own after all."""
        # Redis before 7 has no SET with NX and GET together.
        old: Any = await self._link.execute("GET", claim.name)
        if old is None:  # it has just expired
            return await self.claim(claim)
        if old == claim.value:
            return None  # the reply to our SET was lost, and it was sent again
        return Earlier(old[:_DIGEST] == claim.value[:_DIGEST], _decision(old))

    async def settle_all(self, settled: Sequence[tuple[Claim, bytes]], linger_s: float = 0.0) -> None:
        """Keep many decisions for repeats, together with what else Redis is asked within `linger_s`."""
        await self._link.execute_many(
            [("SET", claim.name, claim.value + decision, "EX", REPEAT_S) for claim, decision in settled],
            linger_s,
        )

    async def keep(self, claim: Claim, decision: bytes) -> None:
        """Keep a decision that was made without knowing whether its claim stood; another's is left alone."""
        await self._link.execute("EVAL", KEEP, 1, claim.name, claim.value, decision, REPEAT_S)

    async def ping(self) -> None:
        """Raises where there is no answer."""
        await self._link.execute("PING")

    async def settle(self, claim: Claim, decision: bytes) -> None:
        """Keep the decision for repeats."""
        await self.settle_all([(claim, decision)])

    async def give_up(self, claim: Claim) -> None:
        """Free a claim that came to nothing; one that ran out and is another's by now is left alone."""
        await self._link.execute("EVAL", RELEASE, 1, claim.name, claim.value)

    async def stored(self, tx_id: str) -> bytes | None:
        """The decision kept for a tx_id."""
        old: Any = await self._link.execute("GET", f"tx:{tx_id}")
        return _decision(old) if old is not None else None


def _decision(value: bytes) -> bytes | None:
    return bytes(value[_DIGEST + _TOKEN :]) or None
