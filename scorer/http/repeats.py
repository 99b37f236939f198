"""What stands under a tx_id: kept in Redis for every process, and here, should Redis go away."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Final

from redis.exceptions import RedisError

from scorer.http.claims import Claim, Earlier, Idempotency
from scorer.http.kept_replies import KeptReplies
from scorer.resilience.dependency import AwayError, Dependency

LATE_MOST: Final = 256
"""Decisions under way to Redis after their replies; past that they are kept here alone."""
DRAIN_LATE_S: Final = 1.0
GIVE_UP_S: Final = 0.1

Settled = list[tuple[Claim, bytes]]
"""Claims with the decisions that they came to."""


class Repeats:
    """Claims and decisions by tx_id; without Redis this process's own memory settles repeats.

    What that does not see, the log's uniqueness settles.
    """

    def __init__(self, idempotency: Idempotency, claims: Dependency) -> None:
        """`claims` guards what Redis is asked."""
        self._idempotency = idempotency
        self._claims = claims
        self._kept = KeptReplies()
        self._late: set[asyncio.Task[None]] = set()

    async def drain(self) -> None:
        """Give what is late a moment."""
        if self._late:
            _, late = await asyncio.wait(self._late, timeout=DRAIN_LATE_S)
            for task in late:
                task.cancel()

    async def ping(self) -> None:
        """Raises RedisError where there is no answer."""
        await self._idempotency.ping()

    async def stored(self, tx_id: str, until_s: float) -> bytes | None:
        """The decision kept for a tx_id. Raises AwayError."""
        kept = self._kept.stored(tx_id, time.monotonic())
        if kept is not None:
            return kept
        return await self._claims.ask(lambda: self._idempotency.stored(tx_id), until_s)

    async def claim_all(self, claims: Sequence[Claim], until_s: float) -> list[Earlier | None]:
        """What stands under each tx_id, no two the same; None where it is ours now."""
        now_s = time.monotonic()
        found = {claim.tx_id: self._kept.find(claim, now_s) for claim in claims}
        unknown = [claim for claim in claims if found[claim.tx_id] is None]
        if unknown:
            try:
                replies = await self._claims.ask(lambda: self._idempotency.claim_all(unknown), until_s)
            except AwayError:
                now_s = time.monotonic()
                # Looked up again: another may have come meanwhile.
                replies = [self._kept.find(claim, now_s) for claim in unknown]
                for claim, earlier in zip(unknown, replies, strict=True):
                    if earlier is None:
                        self._kept.claim(claim, now_s)
            found |= {claim.tx_id: earlier for claim, earlier in zip(unknown, replies, strict=True)}
        return [found[claim.tx_id] for claim in claims]

    def keep_here(self, settled: Settled) -> tuple[Settled, Settled]:
        """Keep decisions for repeats that come here; those claimed in Redis, and those only here."""
        claimed: Settled = []
        late: Settled = []
        now_s = time.monotonic()
        for claim, decision in settled:
            (late if self._kept.holds(claim) else claimed).append((claim, decision))
            self._kept.settle(claim, decision, now_s)
        return claimed, late

    async def keep_in_redis(
        self, claimed: Settled, late: Settled, until_s: float, linger_s: float = 0.0
    ) -> None:
        """Keep them for every other process, together with what else Redis is asked within `linger_s`."""
        try:
            if claimed:
                await self._claims.ask(lambda: self._idempotency.settle_all(claimed, linger_s), until_s)
        except AwayError:
            late = late + claimed
        for claim, decision in late:
            if self._claims.away is None and len(self._late) < LATE_MOST:
                # It was slow, not gone: the claim may stand there, without a decision.
                task = asyncio.create_task(self._keep_late(claim, decision))
                self._late.add(task)
                task.add_done_callback(self._late.discard)

    async def _keep_late(self, claim: Claim, decision: bytes) -> None:
        with contextlib.suppress(RedisError, OSError):
            await self._idempotency.keep(claim, decision)

    async def give_up(self, claim: Claim) -> None:
        """Free a claim that came to nothing."""
        self._kept.give_up(claim)
        with contextlib.suppress(AwayError):  # then it runs out by itself
            await self._claims.ask(lambda: self._idempotency.give_up(claim), time.monotonic() + GIVE_UP_S)
