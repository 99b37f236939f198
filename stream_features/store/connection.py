"""One connection to Redis that many ask at once: commands leave alone or in company, replies come in order.

redis-py gives every command under way a connection of its own and several times the CPU (docs/decisions.md).
It still says what a URL means, and its are the errors.
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

LOOKS: Final = 4
"""A reply that is late is noticed within one part in so many of the time it had."""
_INCOMPLETE: Final = object()


@dataclass(slots=True)
class _Question:
    """Commands that were sent together, and their replies so far."""

    answer: "asyncio.Future[list[Any]]"
    commands: int
    asked_s: float
    replies: list[Any] = field(default_factory=list)

    def settle(self) -> None:
        """All replies are there; the first error among them is the answer."""
        if self.answer.done():  # whoever asked has given up
            return
        for reply in self.replies:
            if isinstance(reply, Exception):
                self.answer.set_exception(reply)
                return
        self.answer.set_result(self.replies)


class _Conversation(asyncio.Protocol):
    """One connection: whoever asked first is answered first."""

    def __init__(self, answer_s: float) -> None:
        self.over = False
        self._answer_s = answer_s
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(replyError=ResponseError, notEnoughData=_INCOMPLETE)
        self._waiting: deque[_Question] = deque()
        self._lingering: list[bytes] = []
        self._leaves: asyncio.TimerHandle | None = None
        self._transport: Any = None
        self._look = self._loop.call_later(answer_s / LOOKS, self._look_for_late)

    def ask_all(self, commands: Sequence[Command], linger_s: float) -> "asyncio.Future[list[Any]]":
        """Send commands together, with those that linger; the future has their replies."""
        question = _Question(self._loop.create_future(), len(commands), self._loop.time())
        self._waiting.append(question)
        self._lingering += [hiredis.pack_command(tuple(command)) for command in commands]  # type: ignore[arg-type]
        if not linger_s:
            self._send()
        elif self._leaves is None:
            self._leaves = self._loop.call_later(linger_s, self._lingered)
        return question.answer

    def _send(self) -> None:
        if self._lingering and not self.over:
            self._transport.writelines(self._lingering)
            self._lingering = []

    def _lingered(self) -> None:
        self._leaves = None
        self._send()

    def end(self, error: RedisError) -> None:
        """Hang up; whoever still waits gets the error."""
        self.over = True
        self._look.cancel()
        if self._leaves is not None:
            self._leaves.cancel()
        if self._transport is not None:
            self._transport.abort()
        while self._waiting:
            answer = self._waiting.popleft().answer
            if not answer.done():  # else whoever asked has given up
                answer.set_exception(error)

    def _look_for_late(self) -> None:
        if self._waiting and self._loop.time() - self._waiting[0].asked_s > self._answer_s:
            self.end(RedisTimeoutError(f"no reply within {self._answer_s:g} s"))
        else:
            self._look = self._loop.call_later(self._answer_s / LOOKS, self._look_for_late)

    # asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (found := self._reader.gets()) is not _INCOMPLETE:
            question = self._waiting[0]
            question.replies.append(found)
            if len(question.replies) == question.commands:
                self._waiting.popleft().settle()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.over:
            self.end(RedisConnectionError(f"the connection was lost: {error or 'closed by Redis'}"))


class RedisLink:
    """Asks a Redis; connects when first asked, and again where the connection was lost."""

    def __init__(self, url: str, *, connect_s: float, answer_s: float) -> None:
        """At most `connect_s` to connect, and `answer_s` for each reply: then all who wait get an error."""
        self._target: dict[str, Any] = dict(parse_url(url))
        self._connect_s = connect_s
        self._answer_s = answer_s
        self._conversation: _Conversation | None = None
        self._connecting = asyncio.Lock()

    @classmethod
    def patient(cls, url: str) -> "RedisLink":
        """For who can do nothing without Redis."""
        return cls(url, connect_s=5.0, answer_s=10.0)

    @classmethod
    def impatient(cls, url: str) -> "RedisLink":
        """For who would rather do without."""
        return cls(url, connect_s=1.0, answer_s=1.0)

    def ask(self, *command: Word, linger_s: float = 0.0) -> Awaitable[Any]:
        """The reply to one command, which leaves at once where there is a connection.

        With `linger_s` it leaves with the next that is asked, after so long at the latest: a send that wakes
        Redis costs more than all that it may carry.

        Whoever waits for it may get:
            RedisError: there is no connection, no reply in time, or the reply is an error.
        """
        return self._only(self.ask_all([command], linger_s))

    async def _only(self, replies: Awaitable[list[Any]]) -> Any:
        (reply,) = await replies
        return reply

    def ask_all(self, commands: Sequence[Command], linger_s: float = 0.0) -> Awaitable[list[Any]]:
        """The replies to several commands, sent together. As `ask`."""
        known = self._conversation
        if commands and known is not None and not known.over:
            return self._answered(commands, known.ask_all(commands, linger_s))
        return self._exchange(commands)

    async def _answered(self, commands: Sequence[Command], replies: "asyncio.Future[list[Any]]") -> list[Any]:
        try:
            return await replies
        except RedisConnectionError:
            return await self._exchange(commands)  # it had died, as with a Redis that was started again

    async def close(self) -> None:
        """Hang up."""
        if self._conversation is not None:
            self._conversation.end(RedisConnectionError("closed"))

    async def _exchange(self, commands: Sequence[Command]) -> list[Any]:
        if not commands:
            return []
        conversation = self._conversation
        if conversation is None or conversation.over:
            conversation = await self._connected()
        return await conversation.ask_all(commands, 0.0)

    async def _connected(self) -> _Conversation:
        async with self._connecting:
            if self._conversation is None or self._conversation.over:
                try:
                    async with asyncio.timeout(self._connect_s):
                        self._conversation = await self._connect()
                except TimeoutError:
                    raise RedisTimeoutError(f"no connection within {self._connect_s:g} s") from None
                except OSError as error:
                    raise RedisConnectionError(str(error)) from None
            return self._conversation

    async def _connect(self) -> _Conversation:
        target, loop = self._target, asyncio.get_running_loop()

        def conversation() -> _Conversation:
            return _Conversation(self._answer_s)

        if "path" in target:
            _, made = await loop.create_unix_connection(conversation, target["path"])
        else:
            tls = None
            if target.get("connection_class") is SSLConnection:
                options = {name: value for name, value in target.items() if name.startswith("ssl_")}
                tls = SSLConnection(**options).ssl_context.get()
            host, port = target.get("host", "localhost"), target.get("port", 6379)
            _, made = await loop.create_connection(conversation, host, port, ssl=tls)
        try:
            if target.get("password"):
                user = [target["username"]] if target.get("username") else []
                await made.ask_all([["AUTH", *user, target["password"]]], 0.0)
            if target.get("db"):
                await made.ask_all([["SELECT", target["db"]]], 0.0)
        except BaseException:
            made.end(RedisConnectionError("the handshake failed"))
            raise
        return made
