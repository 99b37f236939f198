"""One reply per tx_id: claims in Redis for all processes, and in this process while Redis is away."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Final

from redis.exceptions import RedisError

from fraudsim import metrics
from scorer.idempotency.claims import Claim, PriorClaim
from scorer.idempotency.local_claims import LocalClaims
from scorer.idempotency.redis_claims import RedisClaims
from scorer.resilience.dependency import AwayError, Dependency

MAX_LATE_STORES: Final = 256
"""Stores that may still be under way after their replies; decisions beyond that are kept in memory only."""
LATE_DRAIN_S: Final = 1.0
RELEASE_TIMEOUT_S: Final = 0.1

ClaimedReplies = list[tuple[Claim, bytes]]
"""Claims with their decisions."""


class Idempotency:
    """Claims and replies by tx_id. Without Redis, the memory of this process recognises repeats.

    Repeats that it misses are caught by the log's uniqueness.
    """

    def __init__(self, redis_claims: RedisClaims, dependency: Dependency) -> None:
        """`dependency` guards every call of `redis_claims`."""
        self._redis_claims = redis_claims
        self._dependency = dependency
        self._local_claims = LocalClaims()
        self._late_stores: set[asyncio.Task[None]] = set()

    async def drain(self) -> None:
        """Wait up to LATE_DRAIN_S for late stores, then cancel them."""
        if self._late_stores:
            _, unfinished = await asyncio.wait(self._late_stores, timeout=LATE_DRAIN_S)
            for task in unfinished:
                task.cancel()

    async def ping(self) -> None:
        """Raises RedisError where Redis does not answer."""
        await self._redis_claims.ping()

    async def stored_reply(self, tx_id: str, until_s: float) -> bytes | None:
        """The decision stored for a tx_id. Raises AwayError."""
        reply = self._local_claims.stored_reply(tx_id, time.monotonic())
        if reply is not None:
            return reply
        return await self._dependency.call(lambda: self._redis_claims.stored_reply(tx_id), until_s)

    async def claim_all(self, claims: Sequence[Claim], until_s: float) -> list[PriorClaim | None]:
        """Claim distinct tx_ids; for each the prior claim, or None where the claim succeeded."""
        now_s = time.monotonic()
        prior_claims = {claim.tx_id: self._local_claims.find(claim, now_s) for claim in claims}
        unclaimed = [claim for claim in claims if prior_claims[claim.tx_id] is None]
        if unclaimed:
            try:
                replies = await self._dependency.call(
                    lambda: self._redis_claims.claim_all(unclaimed), until_s
                )
            except AwayError:
                now_s = time.monotonic()
                # Looked up again: another request may have claimed it during the call.
                replies = [self._local_claims.find(claim, now_s) for claim in unclaimed]
                for claim, prior in zip(unclaimed, replies, strict=True):
                    if prior is None:
                        self._local_claims.claim(claim, now_s)
            prior_claims |= {claim.tx_id: prior for claim, prior in zip(unclaimed, replies, strict=True)}
        return [prior_claims[claim.tx_id] for claim in claims]

    def store_locally(self, replies: ClaimedReplies) -> tuple[ClaimedReplies, ClaimedReplies]:
        """Store decisions in memory. Returns those claimed in Redis, and those claimed only in memory."""
        claimed_in_redis: ClaimedReplies = []
        claimed_locally: ClaimedReplies = []
        now_s = time.monotonic()
        for claim, decision in replies:
            (claimed_locally if self._local_claims.holds(claim) else claimed_in_redis).append(
                (claim, decision)
            )
            self._local_claims.store(claim, decision, now_s)
        return claimed_in_redis, claimed_locally

    async def store_in_redis(
        self,
        claimed_in_redis: ClaimedReplies,
        claimed_locally: ClaimedReplies,
        until_s: float,
        linger_s: float = 0.0,
    ) -> None:
        """Store decisions for the other processes; waits up to `linger_s` to share one send with others."""
        late = claimed_locally
        try:
            if claimed_in_redis:
                await self._dependency.call(
                    lambda: self._redis_claims.store_all(claimed_in_redis, linger_s), until_s
                )
        except AwayError:
            late = late + claimed_in_redis
        for claim, decision in late:
            if self._dependency.away is not None or len(self._late_stores) >= MAX_LATE_STORES:
                metrics.REPLIES_NOT_SHARED.inc()
            else:
                # Redis was slow, not gone: it may hold the claim without a decision.
                task = asyncio.create_task(self._store_late(claim, decision))
                self._late_stores.add(task)
                task.add_done_callback(self._late_stores.discard)

    async def _store_late(self, claim: Claim, decision: bytes) -> None:
        try:
            await self._redis_claims.store_late(claim, decision)
        except (RedisError, OSError):
            metrics.REPLIES_NOT_SHARED.inc()

    async def release(self, claim: Claim) -> None:
        """Free a claim without a decision."""
        self._local_claims.release(claim)
        with contextlib.suppress(AwayError):  # the claim then expires by itself
            await self._dependency.call(
                lambda: self._redis_claims.release(claim), time.monotonic() + RELEASE_TIMEOUT_S
            )
