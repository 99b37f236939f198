"""The feature state in Redis: key names, reads in one round trip, writes through the fence."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hiredis import pack_command
from redis.asyncio import Redis
from redis.exceptions import NoScriptError, ResponseError

from stream_features.redis_link import RedisLink

_pack: Final[Callable[[tuple[Any, ...]], bytes]] = pack_command
FENCE: Final = (Path(__file__).parent / "fence.lua").read_text()
MAX_BLOBS_PER_CALL: Final = 2_000
"""Lua unpacks its arguments; past some thousand one call would hold Redis too long."""


def blob_key(slot: int, entity: str, key: str) -> str:
    return f"{{s{slot}}}:{entity}:{key}"


def applied_key(slot: int) -> str:
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

    def __init__(self, url: str, *, impatient: bool = False) -> None:
        """`impatient` gives up after a second, for who would rather do without."""
        self._link = RedisLink(url, connect_s=1.0 if impatient else 5.0, answer_s=1.0 if impatient else 10.0)
        # The worker's scripts; who only reads never connects by it.
        self._redis: Redis = Redis.from_url(url, socket_connect_timeout=5, socket_timeout=10)
        self._script = ""

    async def close(self) -> None:
        await self._link.close()
        await self._redis.aclose()

    async def read(self, keys: Sequence[str]) -> list[bytes | None]:
        """Values of keys, in one round trip."""
        if not keys:
            return []
        found: list[bytes | None] = await self._link.ask("MGET", *keys)
        return found

    async def write(self, writes: Sequence[SlotWrite], fresh_at_ms: int | None = None) -> list[bool]:
        """Write each slot's part through the fence, all slots in one round trip.

        Returns, slot by slot, whether the fence let it through. `fresh_at_ms` goes with it where known.
        """
        try:
            return await self._write(writes, fresh_at_ms)
        except NoScriptError:
            self._script = ""
            return await self._write(writes, fresh_at_ms)

    async def _write(self, writes: Sequence[SlotWrite], fresh_at_ms: int | None) -> list[bool]:
        if not self._script:
            self._script = str(await self._redis.script_load(FENCE))
        commands = [_fenced(self._script, item) for item in writes]
        if fresh_at_ms is not None:
            commands += [_pack(("SET", fresh_key(item.slot), fresh_at_ms)) for item in writes]
        replies = await self._send(commands)
        return [reply == 1 for reply in replies[: len(writes)]]

    async def _send(self, commands: Sequence[bytes]) -> list[Any]:
        """The replies to packed commands, in one round trip; raises the first error among them.

        A pipeline of redis-py packs its commands in Python, which costs as much as folding what they hold.
        """
        pool: Any = self._redis.connection_pool
        connection = await pool.get_connection()
        replies: list[Any] = []
        try:
            await connection.send_packed_command(commands)
            for _ in commands:
                try:
                    replies.append(await connection.read_response())
                except ResponseError as error:
                    replies.append(error)
        except BaseException:
            await connection.disconnect(nowait=True)  # replies may still be on their way
            raise
        finally:
            await pool.release(connection)
        for reply in replies:
            if isinstance(reply, ResponseError):
                raise reply
        return replies

    async def mark_fresh(self, slots: Iterable[int], fresh_at_ms: int) -> None:
        """Say up to when the log is known to be folded."""
        pipe = self._redis.pipeline(transaction=False)
        for slot in slots:
            pipe.set(fresh_key(slot), fresh_at_ms)
        await pipe.execute()


def _fenced(script: str, item: SlotWrite) -> bytes:
    """The packed call of the fence."""
    keys = (applied_key(item.slot), *item.blobs)
    return _pack(("EVALSHA", script, len(keys), *keys, item.expected, item.applied, *item.blobs.values()))
