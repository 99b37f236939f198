"""The feature state in Redis: reads in one round trip, writes through the fence."""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from redis.exceptions import RedisError, ResponseError

from stream_features.store.connection import Command, RedisClient
from stream_features.store.eviction import policy_in
from stream_features.store.keys import fresh_key, watermark_key
from stream_features.store.redis_memory import RedisMemory, memory_in

_FOLDER: Final = Path(__file__).parent
FENCE: Final = (_FOLDER / "fence.lua").read_text()
FRESH: Final = (_FOLDER / "fresh.lua").read_text()
SWEEP: Final = (_FOLDER / "sweep.lua").read_text()
_FULL: Final = "OOM command not allowed"
"""In the error of a write, or of a script's first write, to a Redis that has reached its `maxmemory`."""
MAX_BLOBS_PER_CALL: Final = 2_000
"""Lua unpacks its arguments; past some thousand one call would hold Redis too long."""


@dataclass(frozen=True, slots=True)
class SlotWrite:
    """One slot's part of a batch. Redis writes all of it or nothing."""

    slot: int
    expected: bytes
    """The stored watermark that the fence compares with."""
    watermark: bytes
    """The watermark that replaces it."""
    blobs: dict[str, bytes]
    """By full Redis key."""


class RedisFullError(RedisError):
    """Redis has reached its `maxmemory` and refused a write; the script that it belongs to wrote nothing."""


class StateStore:
    """Reads and writes the feature state."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._script = ""

    def read(self, keys: Sequence[str], linger_s: float = 0.0) -> Awaitable[list[bytes | None]]:
        """Values of keys, in one round trip. It is sent as `RedisClient.execute` describes."""
        if not keys:
            return self._client.execute_many(())
        return self._client.execute("MGET", *keys, linger_s=linger_s)

    async def write(self, writes: Sequence[SlotWrite], fresh_at_ms: int | None = None) -> list[bool]:
        """Write each slot's part through the fence, all slots in one round trip.

        Args:
            writes: at most one for each slot.
            fresh_at_ms: stored beside each slot's watermark; None where it is not known.

        Returns, slot by slot, whether the fence accepted the write.

        Raises:
            RedisFullError: Redis has no memory left; some slots may be written.
        """
        try:
            return await self._write(writes, fresh_at_ms)
        except ResponseError as error:
            if not str(error).startswith("NOSCRIPT"):
                raise
            self._script = ""
            return await self._write(writes, fresh_at_ms)

    async def _write(self, writes: Sequence[SlotWrite], fresh_at_ms: int | None) -> list[bool]:
        if not self._script:
            self._script = (await self._client.execute("SCRIPT", "LOAD", FENCE)).decode()
        fresh_at = "" if fresh_at_ms is None else fresh_at_ms
        replies = await self._execute([_fenced_write(self._script, write, fresh_at) for write in writes])
        return [reply == 1 for reply in replies]

    async def mark_fresh(self, stored: Mapping[int, bytes], fresh_at_ms: int) -> bool:
        """Store the wall-clock time up to which the log is known to be folded in slots, through the fence.

        Args:
            stored: each slot's watermark as it should be stored.

        Returns whether all were.

        Raises:
            RedisFullError: as `write`.
        """
        marks = [
            ("EVAL", FRESH, 2, watermark_key(slot), fresh_key(slot), expected, fresh_at_ms)
            for slot, expected in stored.items()
        ]
        return all(await self._execute(marks))

    async def _execute(self, commands: Sequence[Command]) -> list[Any]:
        try:
            return await self._client.execute_many(commands)
        except ResponseError as error:
            if _FULL in str(error):
                raise RedisFullError(str(error)) from None
            raise

    async def evicts_by(self) -> str:
        """Redis's policy for a full memory, "noeviction" if it does not tell."""
        return policy_in(await self._memory_info())

    async def memory(self) -> RedisMemory:
        """How much memory Redis uses, and may."""
        return memory_in(await self._memory_info())

    async def _memory_info(self) -> str:
        info: bytes = await self._client.execute("INFO", "memory")
        return info.decode()

    # Removing keys

    async def scan(self, cursor: int, count: int) -> tuple[int, list[str]]:
        """About `count` keys of any slot, and the cursor for the next ones; 0 at the start and at the end."""
        cursor_text, keys = await self._client.execute("SCAN", cursor, "MATCH", "{s*}:*", "COUNT", count)
        return int(cursor_text), [key.decode() for key in keys]

    async def heads(self, keys: Sequence[str], size: int) -> list[bytes]:
        """The first bytes of values."""
        return await self._client.execute_many([("GETRANGE", key, 0, size - 1) for key in keys])

    async def sweep(self, slot: int, expected: bytes, blobs: Mapping[str, bytes]) -> int:
        """Delete keys that hold these blobs, through the fence. Returns how many; 0 where it refused."""
        keys = (watermark_key(slot), *blobs)
        deleted: int = await self._client.execute("EVAL", SWEEP, len(keys), *keys, expected, *blobs.values())
        return deleted


def _fenced_write(script: str, write: SlotWrite, fresh_at: int | str) -> Command:
    keys = (watermark_key(write.slot), fresh_key(write.slot), *write.blobs)
    return (
        "EVALSHA", script, len(keys), *keys, write.expected, write.watermark, fresh_at, *write.blobs.values()
    )  # fmt: skip
