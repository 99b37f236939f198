"""uvicorn's protocol with limits that it lacks, and with upgrades that are declined instead of half taken."""

import asyncio
import re
from typing import Any, Final

import httptools
import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from scorer.http.gate import OPEN_PATHS
from scorer.http.problems import MEDIA_TYPE, problem, problem_response

MAX_HEAD_BYTES: Final = 65_536
"""Above this the connection is closed."""
REQUEST_S: Final = 10.0
"""Longest time from a connection, or from the first part of a later request, to the end of the request."""
DRAIN_S: Final = 10.0
"""Longest time in which a client takes nothing of a reply."""
MAX_CONNECTIONS: Final = 2_000
"""Above this only health is served, and every reply closes its connection."""
RESERVED_CONNECTIONS: Final = 100
"""Above this many more, the connection that has waited longest without a request is closed."""
_UPGRADE_HEADERS: Final = frozenset({b"upgrade", b"http2-settings"})


class BoundedProtocol(HttpToolsProtocol):
    """Bounds heads, silence, slow requests, replies that nobody takes, and connections; uvicorn does not."""

    request_s = REQUEST_S
    drain_s = DRAIN_S
    max_connections = MAX_CONNECTIONS
    reserved_connections = RESERVED_CONNECTIONS
    _in_head = False
    _head_bytes = 0
    _unfinished = False
    _broken = ""
    """Why what came last is no HTTP: no more is read, and 400 follows the replies to what came before."""
    _declined_upgrade = False
    """The parser stopped at the head of a request with an upgrade; the request is parsed again without it."""
    _request_timer: asyncio.TimerHandle | None = None
    """Set from the connection on, and where a later request does not arrive in one piece."""
    _drain_timer: asyncio.TimerHandle | None = None
    """Set while a reply is not taken."""

    # Connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer of the first request; where there are too many connections, close a silent one."""
        super().connection_made(transport)
        self._request_timer = self.loop.call_later(self.request_s, self._time_out)
        if len(self.connections) > self.max_connections + self.reserved_connections:
            self._close_longest_silent()

    def _close_longest_silent(self) -> None:
        silent = [other for other in self.connections if isinstance(other, BoundedProtocol) and other._silent]
        timers = [(other._request_timer.when(), other) for other in silent if other._request_timer]
        _, longest = min(timers, key=lambda entry: entry[0], default=(0.0, self))
        longest.transport.abort()

    @property
    def _silent(self) -> bool:
        """Whether no request has come yet."""
        return self.cycle is None and not self.transport.is_closing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timers."""
        _cancel(self._request_timer)
        self._request_timer = None
        _cancel(self._drain_timer)
        self._drain_timer = None
        super().connection_lost(exc)

    # Requests

    def data_received(self, data: bytes) -> None:
        """Refuse a head that is too long; start the timer of an incomplete request."""
        if self._broken:
            return
        was_in_head = self._in_head
        self._unset_keepalive_if_required()
        self._parse(data)
        if was_in_head and self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._break_off("The head of the request is too large.")
        if self._request_timer is None and self._awaits_request and not self.transport.is_closing():
            self._request_timer = self.loop.call_later(self.request_s, self._time_out)

    @property
    def _awaits_request(self) -> bool:
        """Whether the client is to send more: no request of it is complete and without its reply."""
        return self._unfinished or self.cycle is None or self.cycle.response_complete

    def _parse(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                if not self._declined_upgrade:
                    return  # CONNECT: what follows is no HTTP
                self._declined_upgrade = False
                data = self._head_without_upgrade() + data[upgrade.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
            except httptools.HttpParserError:
                self._break_off("Invalid HTTP request received.")
                return

    def _break_off(self, reason: str) -> None:
        """Reply 400 to what is no HTTP and close; first come the replies to complete requests before it."""
        if self.transport.is_closing():
            return
        cycle, in_body = self.cycle, self._unfinished and not self._in_head
        if in_body and cycle.response_started:
            # It was refused before its end: a second reply would be taken for that of another request.
            cycle.keep_alive, self._broken = False, reason
            if cycle.response_complete:
                self._close()
        elif self.pipeline or not (in_body or cycle is None or cycle.response_complete):
            self._broken = reason
            if in_body:
                self.pipeline.popleft()  # itself, which would wait for its body
        else:
            self.send_400_response(reason)

    def _head_without_upgrade(self) -> bytes:
        """The head of the current request without its offer of another protocol."""
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (method, self.url, version)]
        for name, value in self.headers:
            if name == b"connection":
                options = [option.strip() for option in value.split(b",")]
                kept = [option for option in options if option.lower() not in _UPGRADE_HEADERS]
                lines.append(b"connection: " + b", ".join(kept))
            elif name not in _UPGRADE_HEADERS:
                lines.append(b"%b: %b" % (name, value))
        return b"\r\n".join([*lines, b"", b""])

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._in_head, self._head_bytes, self._unfinished = True, 0, True

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header. Trailers are dropped: they would change what the head says, as the host."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> Any:
        """Note that the head is complete; over the limit of connections, answer by health or 503."""
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self._declined_upgrade = True  # httptools would skip the body
            return
        self._in_head = False
        _, absolute, rest = self.url.partition(b"://")
        if absolute and not self.url.startswith(b"/"):
            authority = re.split(rb"[/?#]", rest, maxsplit=1)[0].rpartition(b"@")[2]
            others = [header for header in self.headers if header[0] != b"host"]
            self.headers[:] = [(b"host", authority), *others]  # RFC 9112, 3.2.2
        if len(self.connections) > self.max_connections:
            self.app = _full(self.config.loaded_app)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        if not self._declined_upgrade:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that the body is complete."""
        if self._declined_upgrade:
            return
        self._unfinished = False
        _cancel(self._request_timer)
        self._request_timer = None
        super().on_message_complete()

    def _time_out(self) -> None:
        """Close; first reply 408 to a request begun, unless it or an earlier one has or awaits a reply."""
        if self._unfinished and self._may_reply and not self.transport.is_closing():
            reason = f"the request did not come whole within {self.request_s:g} s"
            body = msgspec.json.encode(problem("request-timeout", reason, "request"))
            head = (
                f"HTTP/1.1 408 Request Timeout\r\ncontent-type: {MEDIA_TYPE}\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
        self._close()

    @property
    def _may_reply(self) -> bool:
        """Whether a reply written now would be taken for that of the unfinished request."""
        cycle = self.cycle
        first = cycle is None or cycle.response_complete if self._in_head else not cycle.response_started
        return first and not self.pipeline

    # Replies

    def on_response_complete(self) -> None:
        """Take up the next request, or wait for it."""
        is_last = not self.pipeline
        super().on_response_complete()
        if self._broken and is_last and not self.transport.is_closing():
            self.send_400_response(self._broken)
        if self.transport.is_closing():
            self._limit_drain()

    def pause_writing(self) -> None:
        """The client does not take what is written: it has a time to go on."""
        super().pause_writing()
        self._limit_drain()

    def resume_writing(self) -> None:
        """The client took most of what was written; a connection being closed must still take the rest."""
        if not self.transport.is_closing():
            _cancel(self._drain_timer)
            self._drain_timer = None
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """No further request came in time."""
        self._close()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        super().send_400_response(msg)
        self._limit_drain()

    def shutdown(self) -> None:
        """The server stops."""
        super().shutdown()
        if self.transport.is_closing():
            self._limit_drain()

    def _close(self) -> None:
        """Close once what is written is taken, or its time is over."""
        self.transport.close()
        self._limit_drain()

    def _limit_drain(self) -> None:
        if self._drain_timer is None:
            self._drain_timer = self.loop.call_later(self.drain_s, self.transport.abort)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def _full(app: ASGIApp) -> ASGIApp:
    """Serves the health by `app`, and answers 503 to all else; every reply closes its connection."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_and_close(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        if scope["path"] in OPEN_PATHS:
            await app(scope, receive, send_and_close)
        else:
            refusal = problem_response(problem("try-later", "too many connections", "service"))
            await refusal(scope, receive, send_and_close)

    return serve
