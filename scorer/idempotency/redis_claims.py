"""Claims and stored replies in Redis, shared by all scorer processes: one SET NX before scoring decides."""

import time
from collections.abc import Awaitable, Sequence
from typing import Any, Final

from scorer.idempotency.claims import DIGEST_BYTES, TOKEN_BYTES, Claim, PriorClaim
from scorer.idempotency.reply_lifetime import ReplyLifetime
from stream_features.store.connection import RedisClient

CLAIM_MS: Final = 5_000
"""The claim of a scorer that died expires after this time."""

RELEASE_SCRIPT: Final = (
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
)

STORE_LATE_SCRIPT: Final = (
    "local old = redis.call('GET', KEYS[1]) "
    "if old and string.sub(old, 1, string.len(ARGV[1])) ~= ARGV[1] then return 0 end "
    "redis.call('SET', KEYS[1], ARGV[1] .. ARGV[2], 'EX', ARGV[3]) return 1"
)


class RedisClaims:
    """Claims and replies by tx_id. Every method raises RedisError where Redis cannot be reached."""

    def __init__(self, link: RedisClient, max_reply_bytes: int) -> None:
        """`max_reply_bytes` bounds what the replies stored here take of Redis."""
        self._link = link
        self._lifetime = ReplyLifetime(max_reply_bytes)

    async def claim(self, claim: Claim) -> PriorClaim | None:
        """Claim a tx_id; None if the claim succeeded, else the claim that precedes it."""
        (prior,) = await self.claim_all([claim])
        return prior

    def claim_all(self, claims: Sequence[Claim]) -> Awaitable[list[PriorClaim | None]]:
        """Claim several distinct tx_ids, as `claim` does one; sends when called, not when awaited."""
        sets = [("SET", claim.key, claim.value, "NX", "PX", CLAIM_MS) for claim in claims]
        return self._prior_claims(claims, self._link.execute_many(sets))

    async def _prior_claims(
        self, claims: Sequence[Claim], replies: Awaitable[list[Any]]
    ) -> list[PriorClaim | None]:
        return [
            None if claimed else await self._prior_claim(claim)
            for claimed, claim in zip(await replies, claims, strict=True)
        ]

    async def _prior_claim(self, claim: Claim) -> PriorClaim | None:
        """The claim that made SET NX fail; None where that was this claim itself."""
        # Redis before 7 has no SET with NX and GET together.
        value: Any = await self._link.execute("GET", claim.key)
        if value is None:  # it has just expired
            return await self.claim(claim)
        if value == claim.value:
            return None  # the reply to our SET was lost, and the client sent it again
        return PriorClaim(value[:DIGEST_BYTES] == claim.value[:DIGEST_BYTES], _decision(value))

    async def store_all(self, replies: Sequence[tuple[Claim, bytes]], linger_s: float = 0.0) -> None:
        """Store decisions for repeats; waits up to `linger_s` to share one send with other commands."""
        await self._link.execute_many(
            [
                ("SET", claim.key, claim.value + decision, "EX", self._ttl_s(claim, decision))
                for claim, decision in replies
            ],
            linger_s,
        )

    def _ttl_s(self, claim: Claim, decision: bytes) -> int:
        size = len(claim.key) + len(claim.value) + len(decision)
        return self._lifetime.take(size, time.monotonic())

    async def store(self, claim: Claim, decision: bytes) -> None:
        """Store one decision for repeats."""
        await self.store_all([(claim, decision)])

    async def store_late(self, claim: Claim, decision: bytes) -> None:
        """Store a decision whose claim may not have reached Redis; another request's claim is kept."""
        ttl_s = self._ttl_s(claim, decision)
        await self._link.execute("EVAL", STORE_LATE_SCRIPT, 1, claim.key, claim.value, decision, ttl_s)

    async def release(self, claim: Claim) -> None:
        """Free a claim without a decision. One that expired and belongs to another request is kept."""
        await self._link.execute("EVAL", RELEASE_SCRIPT, 1, claim.key, claim.value)

    async def stored_reply(self, tx_id: str) -> bytes | None:
        """The decision stored for a tx_id."""
        value: Any = await self._link.execute("GET", f"tx:{tx_id}")
        return _decision(value) if value is not None else None

    async def ping(self) -> None:
        """Raises RedisError where Redis does not answer."""
        await self._link.execute("PING")


def _decision(value: bytes) -> bytes | None:
    return bytes(value[DIGEST_BYTES + TOKEN_BYTES :]) or None
