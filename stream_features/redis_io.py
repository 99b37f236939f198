"""The feature state in Redis: key names, reads in one round trip, writes through the fence."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hiredis import pack_command
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, ResponseError

_pack: Final[Callable[[tuple[Any, ...]], bytes]] = pack_command
FENCE: Final = (Path(__file__).parent / "fence.lua").read_text()
MAX_BLOBS_PER_CALL: Final = 2_000
"""Lua unpacks its arguments; past some thousand one call would hold Redis too long."""

READS_UNDER_WAY: Final = 2
"""More at once would not be faster: Redis answers one by one. Who comes meanwhile shares the next."""
KEYS_PER_READ: Final = 2_000
"""A shared read is closed once it has this many."""


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


@dataclass(frozen=True, slots=True)
class _Asked:
    keys: Sequence[str]
    answer: asyncio.Future[list[bytes | None]]


class StateStore:
    """Reads and writes of the feature state."""

    def __init__(self, url: str, *, impatient: bool = False) -> None:
        """`impatient` gives up after a second, for who would rather do without."""
        if impatient:
            # Once more at once, for a connection that died with the Redis before.
            self._redis: Redis = Redis.from_url(
                url, socket_connect_timeout=1, socket_timeout=1, retry=Retry(NoBackoff(), 1)
            )
        else:
            self._redis = Redis.from_url(url, socket_connect_timeout=5, socket_timeout=10)
        self._script = ""
        self._under_way = 0
        self._asked: deque[_Asked] = deque()
        self._shared: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        await self._redis.aclose()

    async def read(self, keys: Sequence[str]) -> list[bytes | None]:
        """Values of keys, in one round trip, which is shared by those who ask while others are under way."""
        if not keys:
            return []
        if self._under_way < READS_UNDER_WAY:
            self._under_way += 1
            return await self._mget(keys)
        asked = _Asked(keys, asyncio.get_running_loop().create_future())
        self._asked.append(asked)
        return await asked.answer

    async def _mget(self, keys: Sequence[str]) -> list[bytes | None]:
        try:
            values: Any = await self._redis.mget(keys)
            return list(values)
        finally:
            self._under_way -= 1
            together = self._take_asked()
            if together:
                self._under_way += 1
                task = asyncio.create_task(self._answer(together))
                self._shared.add(task)
                task.add_done_callback(self._shared.discard)

    def _take_asked(self) -> list[_Asked]:
        together: list[_Asked] = []
        size = 0
        while self._asked and size < KEYS_PER_READ:
            asked = self._asked.popleft()
            if not asked.answer.done():  # else whoever asked was cancelled
                together.append(asked)
                size += len(asked.keys)
        return together

    async def _answer(self, together: list[_Asked]) -> None:
        keys = list(dict.fromkeys(key for asked in together for key in asked.keys))
        try:
            found = dict(zip(keys, await self._mget(keys), strict=True))
        except Exception as error:
            for asked in together:
                if not asked.answer.done():
                    asked.answer.set_exception(error)
            return
        for asked in together:
            if not asked.answer.done():
                asked.answer.set_result([found[key] for key in asked.keys])

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
