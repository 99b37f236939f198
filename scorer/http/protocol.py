"""uvicorn's protocol with limits that it lacks, and with one send per reply instead of two."""

import asyncio
from typing import Any, Final

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from scorer.http.problems import MEDIA_TYPE, problem

MAX_HEAD_BYTES: Final = 65_536
"""Above this the connection is closed."""
REQUEST_S: Final = 10.0
"""Longest wait for the rest of a request after its first part."""
_CONTINUE: Final = b"HTTP/1.1 100 "


class OneSend(asyncio.Transport):
    """Holds a reply's head back until its body is written, or until the next turn of the event loop.

    Waking a sleeping receiver with a send costs more than all other work on a small reply.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._head = b""

    def write(self, data: Any) -> None:
        """Send at once, except for a head without its body."""
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
        """Close once all written data is sent."""
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        """Close at once; unsent data is lost."""
        self._transport.abort()

    def is_closing(self) -> bool:
        """Whether the transport is closing or closed."""
        return self._transport.is_closing()

    def pause_reading(self) -> None:
        """Stop calling `data_received`."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Undo `pause_reading`."""
        self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Extra information of the wrapped transport."""
        return self._transport.get_extra_info(name, default)


class BoundedProtocol(HttpToolsProtocol):
    """Bounds the head and the duration of a request; uvicorn's own protocol bounds neither."""

    request_s = REQUEST_S
    _in_head = False
    _head_bytes = 0
    _unfinished = False
    _timeout: asyncio.TimerHandle | None = None
    """Set only where a request did not arrive in one piece."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wrap the transport of a new connection."""
        super().connection_made(OneSend(transport))

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timeout of a request under way."""
        self._cancel_timeout()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Refuse a head that is too long; start the timeout of an incomplete request."""
        was_in_head = self._in_head
        super().data_received(data)
        if was_in_head and self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("The head of the request is too large.")
        if self._unfinished and self._timeout is None and not self.transport.is_closing():
            self._timeout = self.loop.call_later(self.request_s, self._time_out)

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._in_head, self._head_bytes, self._unfinished = True, 0, True

    def on_headers_complete(self) -> Any:
        """Note that the head is complete."""
        self._in_head = False
        return super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note that the body is complete."""
        self._unfinished = False
        self._cancel_timeout()
        super().on_message_complete()

    def _cancel_timeout(self) -> None:
        if self._timeout is not None:
            self._timeout.cancel()
            self._timeout = None

    def _time_out(self) -> None:
        """Close; first reply 408, unless this request or an earlier one already has or awaits a reply."""
        cycle = self.cycle
        may_reply = cycle is None or cycle.response_complete if self._in_head else not cycle.response_started
        if may_reply and not self.pipeline and not self.transport.is_closing():
            reason = f"the request did not come whole within {self.request_s:g} s"
            body = msgspec.json.encode(problem("request-timeout", reason, "request"))
            head = (
                f"HTTP/1.1 408 Request Timeout\r\ncontent-type: {MEDIA_TYPE}\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
        self.transport.close()
