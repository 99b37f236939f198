"""An asyncio Redis client: all callers share one connection, and replies come in the order of the commands.

redis-py gives every command under way a connection of its own and takes several times the CPU
(docs/decisions/deciding.md). Its URL parsing and its exceptions are used here.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import hiredis
from redis.asyncio import SSLConnection
from redis.asyncio.connection import parse_url
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

Word = bytes | str | int | float
Command = Sequence[Word]

CHECKS_PER_TIMEOUT: Final = 4
"""Checks for late replies within one timeout: a late reply is noticed within a quarter of it."""
_INCOMPLETE: Final = object()


@dataclass(slots=True)
class _Request:
    """Commands that were sent together, and their replies so far."""

    result: "asyncio.Future[list[Any]]"
    commands: int
    sent_s: float
    replies: list[Any] = field(default_factory=list)

    def resolve(self) -> None:
        """Hand over the replies, which are complete; the first error among them is raised instead."""
        if self.result.done():  # the caller was cancelled
            return
        for reply in self.replies:
            if isinstance(reply, Exception):
                self.result.set_exception(reply)
                return
        self.result.set_result(self.replies)


class _RedisConnection(asyncio.Protocol):
    """One connection: Redis replies in the order of the requests."""

    def __init__(self, reply_timeout_s: float) -> None:
        self.closed = False
        self._reply_timeout_s = reply_timeout_s
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(replyError=ResponseError, notEnoughData=_INCOMPLETE)
        self._waiting: deque[_Request] = deque()
        self._lingering: list[bytes] = []
        self._linger_timer: asyncio.TimerHandle | None = None
        self._transport: Any = None
        self._late_timer = self._loop.call_later(reply_timeout_s / CHECKS_PER_TIMEOUT, self._check_for_late)

    def execute_many(self, commands: Sequence[Command], linger_s: float) -> "asyncio.Future[list[Any]]":
        """Send commands together, with those that linger; the future has their replies."""
        request = _Request(self._loop.create_future(), len(commands), self._loop.time())
        self._waiting.append(request)
        self._lingering += [hiredis.pack_command(tuple(command)) for command in commands]  # type: ignore[arg-type]
        if not linger_s:
            self._send()
        elif self._linger_timer is None:
            self._linger_timer = self._loop.call_later(linger_s, self._send)
        return request.result

    def _send(self) -> None:
        if self._linger_timer is not None:  # else it would cut the linger of later commands short
            self._linger_timer.cancel()
            self._linger_timer = None
        if self._lingering and not self.closed:
            self._transport.writelines(self._lingering)
            self._lingering = []

    def close(self, error: RedisError) -> None:
        """Close the connection; requests without a reply fail with `error`."""
        self.closed = True
        self._late_timer.cancel()
        if self._linger_timer is not None:
            self._linger_timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        while self._waiting:
            result = self._waiting.popleft().result
            if not result.done():  # else the caller was cancelled
                result.set_exception(error)

    def _check_for_late(self) -> None:
        if self._waiting and self._loop.time() - self._waiting[0].sent_s > self._reply_timeout_s:
            self.close(RedisTimeoutError(f"no reply within {self._reply_timeout_s:g} s"))
        else:
            delay_s = self._reply_timeout_s / CHECKS_PER_TIMEOUT
            self._late_timer = self._loop.call_later(delay_s, self._check_for_late)

    # Callbacks of asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not _INCOMPLETE:
            request = self._waiting[0]
            request.replies.append(reply)
            if len(request.replies) == request.commands:
                self._waiting.popleft().resolve()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.closed:
            self.close(RedisConnectionError(f"the connection was lost: {error or 'closed by Redis'}"))


class RedisClient:
    """Sends commands to one Redis. It connects at the first command, and again after a lost connection."""

    def __init__(self, url: str, *, connect_timeout_s: float, reply_timeout_s: float) -> None:
        """Every waiting caller gets an error when one reply is later than `reply_timeout_s`."""
        self._target: dict[str, Any] = dict(parse_url(url))
        self._connect_timeout_s = connect_timeout_s
        self._reply_timeout_s = reply_timeout_s
        self._connection: _RedisConnection | None = None
        self._connecting = asyncio.Lock()

    @classmethod
    def with_long_timeouts(cls, url: str) -> "RedisClient":
        """For callers that can do nothing without Redis."""
        return cls(url, connect_timeout_s=5.0, reply_timeout_s=10.0)

    @classmethod
    def with_short_timeouts(cls, url: str) -> "RedisClient":
        """For callers that go on without Redis."""
        return cls(url, connect_timeout_s=1.0, reply_timeout_s=1.0)

    def execute(self, *command: Word, linger_s: float = 0.0) -> Awaitable[Any]:
        """The reply to one command, which is sent at once where there is a connection.

        With `linger_s` it is sent together with the next command, after that time at the latest: a send that
        wakes Redis costs more than anything it may carry.

        Awaiting the reply raises:
            RedisError: there is no connection, no reply in time, or the reply is an error.
        """
        return self._single(self.execute_many([command], linger_s))

    async def _single(self, replies: Awaitable[list[Any]]) -> Any:
        (reply,) = await replies
        return reply

    def execute_many(self, commands: Sequence[Command], linger_s: float = 0.0) -> Awaitable[list[Any]]:
        """The replies to several commands, sent together. As `execute`."""
        connection = self._connection
        if commands and connection is not None and not connection.closed:
            return self._retry_once(commands, connection.execute_many(commands, linger_s))
        return self._connect_and_execute(commands)

    async def _retry_once(
        self, commands: Sequence[Command], replies: "asyncio.Future[list[Any]]"
    ) -> list[Any]:
        try:
            return await replies
        except RedisConnectionError:
            return await self._connect_and_execute(commands)  # a restarted Redis drops the old connection

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close(RedisConnectionError("closed"))

    async def _connect_and_execute(self, commands: Sequence[Command]) -> list[Any]:
        if not commands:
            return []
        connection = self._connection
        if connection is None or connection.closed:
            connection = await self._open_connection()
        return await connection.execute_many(commands, 0.0)

    async def _open_connection(self) -> _RedisConnection:
        async with self._connecting:
            if self._connection is None or self._connection.closed:
                try:
                    async with asyncio.timeout(self._connect_timeout_s):
                        self._connection = await self._connect()
                except TimeoutError:
                    raise RedisTimeoutError(f"no connection within {self._connect_timeout_s:g} s") from None
                except OSError as error:
                    raise RedisConnectionError(str(error)) from None
            return self._connection

    async def _connect(self) -> _RedisConnection:
        target, loop = self._target, asyncio.get_running_loop()

        def new_connection() -> _RedisConnection:
            return _RedisConnection(self._reply_timeout_s)

        if "path" in target:
            _, connection = await loop.create_unix_connection(new_connection, target["path"])
        else:
            tls = None
            if target.get("connection_class") is SSLConnection:
                options = {name: value for name, value in target.items() if name.startswith("ssl_")}
                tls = SSLConnection(**options).ssl_context.get()
            host, port = target.get("host", "localhost"), target.get("port", 6379)
            _, connection = await loop.create_connection(new_connection, host, port, ssl=tls)
        try:
            if target.get("password"):
                user = [target["username"]] if target.get("username") else []
                await connection.execute_many([["AUTH", *user, target["password"]]], 0.0)
            if target.get("db"):
                await connection.execute_many([["SELECT", target["db"]]], 0.0)
        except BaseException:
            connection.close(RedisConnectionError("the handshake failed"))
            raise
        return connection
