"""One kept-alive connection of a `FastHttpUser`, with the time at which each request is written."""

import socket
from dataclasses import dataclass
from typing import Any, Final

import gevent.socket
from geventhttpclient.client import HTTPClient
from geventhttpclient.response import HTTPSocketResponse

from load_tests.load.generators.dispatcher import SteadyClock

NO_ANSWER: Final = 0
"""Status of a request without an answer."""
TARGET_ERRORS: Final = (OSError, gevent.Timeout)
"""What a connection raises that breaks; geventhttpclient's parse errors are turned into OSError here."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer."""

    ready_us: int
    """When the sender began: before it connected, if it had to."""
    sent_us: int
    """When the request was written; 0 if there was no connection."""
    completed_us: int
    """When the answer was complete; 0 without one."""
    status: int
    body: bytes
    error: str = ""


class KeptConnection:
    """Connects when it must, and keeps the connection.

    The client's own `request` builds a request of many objects, hides when it is written, and looks for a
    dead connection by select, which knows descriptors below 1,024 only. Here bytes are written as they are.
    """

    def __init__(self, client: HTTPClient, clock: SteadyClock) -> None:
        # Connects as the client does: addresses, TLS, proxy, timeouts.
        self._pool = client._connection_pool
        self._clock = clock
        self._socket: Any = None

    def connect(self) -> None:
        """Raises OSError: the target takes no connection."""
        self._socket = self._pool._create_socket()
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def exchange(self, request: bytes) -> Exchange:
        """Write a request and read the answer to its end."""
        clock = self._clock
        ready_us, sent_us = clock.now_us(), 0
        try:
            if self._socket is None or self._is_closed():
                self.close()
                self.connect()
            sent_us = clock.now_us()
            self._socket.sendall(request)
            response = HTTPSocketResponse(self._socket, method="POST")
            body = response.read()
            completed_us = clock.now_us()
        except Exception as error:
            # The parser's errors have no common base with those of sockets.
            self.close()
            return Exchange(ready_us, sent_us, 0, NO_ANSWER, b"", f"{type(error).__name__}: {error}")
        if response.should_close():
            self._socket = None
        return Exchange(ready_us, sent_us, completed_us, response.get_code(), body)

    def _is_closed(self) -> bool:
        """Whether the target has closed the idle connection."""
        try:
            waiting: bytes = self._socket._sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except (OSError, AttributeError):
            return True
        return not waiting

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
