"""One decision for one tx_id over HTTP: settled by a single SET NX before scoring."""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis

CLAIM_MS: Final = 5_000
"""A claim whose scorer died is free again after this."""
REPEAT_S: Final = 600
"""A repeat within this gets the stored decision."""
_DIGEST: Final = 16


@dataclass(frozen=True, slots=True)
class Earlier:
    """What is known of a tx_id that was claimed before."""

    same_body: bool
    decision: bytes | None
    """None while the first request is still being decided."""


class Idempotency:
    """Claims and answers by tx_id, in Redis."""

    def __init__(self, url: str) -> None:
        self._redis: Redis = Redis.from_url(url, socket_connect_timeout=2, socket_timeout=5)

    async def close(self) -> None:
        await self._redis.aclose()

    @staticmethod
    def digest(body: bytes) -> bytes:
        """Fingerprint of a body as received."""
        return hashlib.blake2b(body, digest_size=_DIGEST).digest()

    async def claim(self, tx_id: str, digest: bytes) -> Earlier | None:
        """Claim a tx_id; None if it is ours now, else what stands there."""
        name = f"tx:{tx_id}"
        while True:
            if await self._redis.set(name, digest, nx=True, px=CLAIM_MS):
                return None
            old: Any = await self._redis.get(name)  # Redis before 7 has no SET with NX and GET together
            if old is not None:  # else it has just expired
                return Earlier(old[:_DIGEST] == digest, bytes(old[_DIGEST:]) or None)

    async def settle(self, tx_id: str, digest: bytes, decision: bytes) -> None:
        """Keep the decision for repeats."""
        await self._redis.set(f"tx:{tx_id}", digest + decision, ex=REPEAT_S)

    async def give_up(self, tx_id: str) -> None:
        """Free a claim that came to nothing."""
        await self._redis.delete(f"tx:{tx_id}")

    async def stored(self, tx_id: str) -> bytes | None:
        """The decision kept for a tx_id."""
        old: Any = await self._redis.get(f"tx:{tx_id}")
        return bytes(old[_DIGEST:]) or None if old is not None else None
