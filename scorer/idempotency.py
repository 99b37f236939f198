"""One decision for one tx_id over HTTP: settled by a single SET NX before scoring."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

CLAIM_MS: Final = 5_000
"""A claim whose scorer died is free again after this."""
REPEAT_S: Final = 600
"""A repeat within this gets the stored decision."""
CONNECTIONS: Final = 32
CONNECTION_WAIT_S: Final = 2.0
"""Longest wait for a free connection; after that it is a ConnectionError."""
_DIGEST: Final = 16
_TOKEN: Final = 8

RELEASE: Final = (
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
)

KEEP: Final = (
    "local old = redis.call('GET', KEYS[1]) "
    "if old and string.sub(old, 1, string.len(ARGV[1])) ~= ARGV[1] then return 0 end "
    "redis.call('SET', KEYS[1], ARGV[1] .. ARGV[2], 'EX', ARGV[3]) return 1"
)


@dataclass(frozen=True, slots=True)
class Claim:
    """One request's claim to decide a tx_id."""

    tx_id: str
    value: bytes
    """Fingerprint of the body as received, then a token that no other request has."""

    @staticmethod
    def of(tx_id: str, body: bytes) -> "Claim":
        # A batch's items come without the white space around them.
        return Claim(tx_id, hashlib.blake2b(body.strip(), digest_size=_DIGEST).digest() + os.urandom(_TOKEN))

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

    def __init__(self, url: str) -> None:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=CONNECTION_WAIT_S,
            socket_connect_timeout=2,
            socket_timeout=5,
            retry=Retry(NoBackoff(), 1),  # once, for a connection that died with the Redis before
        )
        self._redis: Redis = Redis.from_pool(pool)

    async def close(self) -> None:
        await self._redis.aclose()

    async def claim(self, claim: Claim) -> Earlier | None:
        """Claim a tx_id; None if it is ours now, else what stands there."""
        while True:
            if await self._redis.set(claim.name, claim.value, nx=True, px=CLAIM_MS):
                return None
            old: Any = await self._redis.get(claim.name)  # Redis before 7 has no SET with NX and GET together
            if old == claim.value:
                return None  # the reply to our SET was lost, and the client sent it again
            if old is not None:  # else it has just expired
                return Earlier(old[:_DIGEST] == claim.value[:_DIGEST], _decision(old))

    async def claim_all(self, claims: Sequence[Claim]) -> list[Earlier | None]:
        """Claim many tx_ids, no two the same, as `claim` does one."""
        if len(claims) == 1:
            return [await self.claim(claims[0])]
        pipe = self._redis.pipeline(transaction=False)
        for claim in claims:
            pipe.set(claim.name, claim.value, nx=True, px=CLAIM_MS)
        ours: list[Any] = await pipe.execute()
        return [
            None if claimed else await self.claim(claim) for claimed, claim in zip(ours, claims, strict=True)
        ]

    async def settle_all(self, settled: Sequence[tuple[Claim, bytes]]) -> None:
        """Keep many decisions for repeats."""
        if len(settled) == 1:
            await self.settle(*settled[0])
            return
        pipe = self._redis.pipeline(transaction=False)
        for claim, decision in settled:
            pipe.set(claim.name, claim.value + decision, ex=REPEAT_S)
        await pipe.execute()

    async def keep(self, claim: Claim, decision: bytes) -> None:
        """Keep a decision that was made without knowing whether its claim stood; another's is left alone."""
        await self._redis.eval(KEEP, 1, claim.name, claim.value, decision, REPEAT_S)

    async def ping(self) -> None:
        """Raises where there is no answer."""
        await self._redis.ping()

    async def settle(self, claim: Claim, decision: bytes) -> None:
        """Keep the decision for repeats."""
        await self._redis.set(claim.name, claim.value + decision, ex=REPEAT_S)

    async def give_up(self, claim: Claim) -> None:
        """Free a claim that came to nothing; one that ran out and is another's by now is left alone."""
        await self._redis.eval(RELEASE, 1, claim.name, claim.value)

    async def stored(self, tx_id: str) -> bytes | None:
        """The decision kept for a tx_id."""
        old: Any = await self._redis.get(f"tx:{tx_id}")
        return _decision(old) if old is not None else None


def _decision(value: bytes) -> bytes | None:
    return bytes(value[_DIGEST + _TOKEN :]) or None
