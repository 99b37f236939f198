"""The feature state in Redis: key names, reads in one round trip, writes through the fence."""

from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from redis.exceptions import ResponseError

from stream_features.store.connection import Command, RedisLink

FENCE: Final = (Path(__file__).parent / "fence.lua").read_text()
MAX_BLOBS_PER_CALL: Final = 2_000
"""Lua unpacks its arguments; past some thousand one call would hold Redis too long."""


def blob_key(slot: int, entity: str, key: str) -> str:
    return f"{{s{slot}}}:{entity}:{key}"


def watermark_key(slot: int) -> str:
    return f"{{s{slot}}}:applied"


def fresh_key(slot: int) -> str:
    """Wall-clock ms up to which the log was known to be folded in this slot."""
    return f"{{s{slot}}}:fresh_at"


@dataclass(frozen=True, slots=True)
class SlotWrite:
    """One slot's part of a batch: everything or nothing of it is written."""

    slot: int
    expected: bytes
    applied: bytes
    blobs: dict[str, bytes]
    """By whole Redis key."""


class StateStore:
    """Reads and writes of the feature state."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._script = ""

    def read(self, keys: Sequence[str], linger_s: float = 0.0) -> Awaitable[list[bytes | None]]:
        """Values of keys, in one round trip that begins at once, or as `RedisLink.ask` has it."""
        return self._link.ask("MGET", *keys, linger_s=linger_s) if keys else self._link.ask_all(())

    async def write(self, writes: Sequence[SlotWrite], fresh_at_ms: int | None = None) -> list[bool]:
        """Write each slot's part through the fence, all slots in one round trip.

        Returns, slot by slot, whether the fence let it through. `fresh_at_ms` goes with it where known.
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
            self._script = (await self._link.ask("SCRIPT", "LOAD", FENCE)).decode()
        commands = [_fenced(self._script, item) for item in writes]
        if fresh_at_ms is not None:
            commands += _fresh([item.slot for item in writes], fresh_at_ms)
        replies = await self._link.ask_all(commands)
        return [reply == 1 for reply in replies[: len(writes)]]

    async def mark_fresh(self, slots: Iterable[int], fresh_at_ms: int) -> None:
        """Say up to when the log is known to be folded."""
        await self._link.ask_all(_fresh(slots, fresh_at_ms))


def _fresh(slots: Iterable[int], at_ms: int) -> list[Command]:
    return [("SET", fresh_key(slot), at_ms) for slot in slots]


def _fenced(script: str, item: SlotWrite) -> Command:
    """The call of the fence."""
    keys = (watermark_key(item.slot), *item.blobs)
    return "EVALSHA", script, len(keys), *keys, item.expected, item.applied, *item.blobs.values()
