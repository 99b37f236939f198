"""uvicorn's protocol with limits that it lacks, and a reply in one send instead of two."""

import asyncio
from typing import Any, Final

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from scorer.http.problems import MEDIA_TYPE, problem

MAX_HEAD_BYTES: Final = 65_536
"""Past this the connection is closed: nothing of such a request is kept."""
REQUEST_S: Final = 10.0
"""Longest wait for a whole request once it has begun."""
_CONTINUE: Final = b"HTTP/1.1 100 "


class OneSend(asyncio.Transport):
    """Holds a reply's head back until its body is written too, or the event loop comes round.

    A send to whoever sleeps costs more than all else that is done for a small reply.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._head = b""

    def write(self, data: Any) -> None:
        """Send it now, but for a head that stands alone."""
        if self._head:
            self._transport.write(self._head + data)
            self._head = b""
        elif data[-4:] == b"\r\n\r\n" and not data.startswith(_CONTINUE):
            self._head = data
            self._loop.call_soon(self._flush)
        else:
            self._transport.write(data)

    def _flush(self) -> None:
        if self._head:
            self._transport.write(self._head)
            self._head = b""

    def close(self) -> None:
        """Hang up once all that was written is sent."""
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        """Hang up at once."""
        self._transport.abort()

    def is_closing(self) -> bool:
        """Whether it is being hung up, or has been."""
        return self._transport.is_closing()

    def pause_reading(self) -> None:
        """Take no more for now."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on after a pause."""
        self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As the transport below has it."""
        return self._transport.get_extra_info(name, default)


class BoundedProtocol(HttpToolsProtocol):
    """By itself uvicorn's would keep a head of any length, and wait for ever for the end of a request."""

    request_s = REQUEST_S
    _in_head = False
    _head_bytes = 0
    _unfinished = False
    _late: asyncio.TimerHandle | None = None
    """Set only where a request did not come in one piece."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody has connected."""
        super().connection_made(OneSend(transport))

    def connection_lost(self, exc: Exception | None) -> None:
        """They have gone, or were hung up on."""
        self._in_time()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Hang up on a head that goes on for too long; see that the rest comes in time."""
        before = self._in_head
        super().data_received(data)
        if before and self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("The head of the request is too large.")
        if self._unfinished and self._late is None and not self.transport.is_closing():
            self._late = self.loop.call_later(self.request_s, self._too_late)

    def on_message_begin(self) -> None:
        """A request starts."""
        super().on_message_begin()
        self._in_head, self._head_bytes, self._unfinished = True, 0, True

    def on_headers_complete(self) -> Any:
        """Its head is whole."""
        self._in_head = False
        return super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Its body is whole."""
        self._unfinished = False
        self._in_time()
        super().on_message_complete()

    def _in_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _too_late(self) -> None:
        """Say so, if no reply was given yet and none to an earlier request is due, and hang up."""
        cycle = self.cycle
        free = cycle is None or cycle.response_complete if self._in_head else not cycle.response_started
        if free and not self.pipeline and not self.transport.is_closing():
            reason = f"the request did not come whole within {self.request_s:g} s"
            body = msgspec.json.encode(problem("request-timeout", reason, "request"))
            head = (
                f"HTTP/1.1 408 Request Timeout\r\ncontent-type: {MEDIA_TYPE}\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
        self.transport.close()
