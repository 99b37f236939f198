"""The feature state in Redis: reads in one round trip, writes through the fence."""

from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from redis.exceptions import ResponseError

from stream_features.store.connection import Command, RedisClient
from stream_features.store.keys import fresh_key, watermark_key

FENCE: Final = (Path(__file__).parent / "fence.lua").read_text()
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
        commands = [_fenced_write(self._script, write) for write in writes]
        if fresh_at_ms is not None:
            commands += _fresh_marks([write.slot for write in writes], fresh_at_ms)
        replies = await self._client.execute_many(commands)
        return [reply == 1 for reply in replies[: len(writes)]]

    async def mark_fresh(self, slots: Iterable[int], fresh_at_ms: int) -> None:
        """Store the wall-clock time up to which the log is known to be folded in `slots`."""
        await self._client.execute_many(_fresh_marks(slots, fresh_at_ms))


def _fresh_marks(slots: Iterable[int], fresh_at_ms: int) -> list[Command]:
    return [("SET", fresh_key(slot), fresh_at_ms) for slot in slots]


def _fenced_write(script: str, write: SlotWrite) -> Command:
    keys = (watermark_key(write.slot), *write.blobs)
    return "EVALSHA", script, len(keys), *keys, write.expected, write.watermark, *write.blobs.values()
