"""HTTP load over kept-alive connections: open loop, at fixed intended send times, or closed loop.

One thread, no event loop: a wait for sockets ends to the microsecond, where asyncio's timers are in whole
milliseconds, and half a millisecond is what some of the servers take.
"""

import select
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hdrh.histogram import HdrHistogram
from httptools import HttpResponseParser

from fraudsim.errors import FraudsimError

LONGEST_US: Final = 60_000_000
DIGITS: Final = 3
"""Significant digits of the histogram."""
PATIENCE_S: Final = 2.0
"""Wait for answers after the last intended send time."""

MakeRequest = Callable[[int], bytes]
"""From a request's number to the whole request, head and body."""


@dataclass(frozen=True)
class Load:
    """Answers and latencies of one period of load."""

    requests: int
    """Requests that were due."""
    seconds: float
    """From the first intended send time to the last answer."""
    answers: "Answers"

    @property
    def answered(self) -> int:
        """Answers that count."""
        return self.answers.answered

    @property
    def refused(self) -> dict[int, int]:
        """Answers that do not count, by status: 0 is a broken connection, 200 a spoiled body."""
        return self.answers.refused

    @property
    def latency_us(self) -> HdrHistogram:
        """Of the answers that count, from the intended send time (closed loop: the send) to the last byte."""
        return self.answers.latency_us

    @property
    def per_second(self) -> float:
        return self.answered / self.seconds

    @property
    def complete(self) -> bool:
        """Whether every request got an answer that counts."""
        return self.answered == self.requests

    def percentile_ms(self, percent: float) -> float:
        return float(self.latency_us.get_value_at_percentile(percent)) / 1000


class Answers:
    """Counts answers as they come."""

    def __init__(self) -> None:
        self.answered = 0
        self.refused: dict[int, int] = {}
        self.latency_us = HdrHistogram(1, LONGEST_US, DIGITS)

    def add(self, intended_s: float) -> None:
        """An answer that counts, and has just come."""
        self.answered += 1
        self.latency_us.record_value(max(1, round((time.perf_counter() - intended_s) * 1e6)))

    def refuse(self, status: int) -> None:
        """An answer that does not count."""
        self.refused[status] = self.refused.get(status, 0) + 1


class _Connection:
    """One kept-alive connection with at most one request in flight."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.intended_s = 0.0
        self.body = b""
        self.status = 0
        """Status of the answer once it is complete, else 0."""
        self._parser = HttpResponseParser(self)

    def send(self, request: bytes, intended_s: float) -> None:
        self.intended_s, self.body, self.status = intended_s, b"", 0
        self.socket.sendall(request)  # far less than a socket's buffer

    def receive(self) -> bool:
        """Read the bytes that have arrived; whether the answer is complete.

        Raises:
            OSError: the server closed the connection.
        """
        data = self.socket.recv(1 << 16)
        if not data:
            raise ConnectionResetError("the server closed the connection")
        self._parser.feed_data(data)
        return self.status > 0

    # Callbacks of httptools

    def on_body(self, part: bytes) -> None:
        self.body += part

    def on_message_complete(self) -> None:
        self.status = int(self._parser.get_status_code())


class LoadGenerator:
    """Connections to one server."""

    def __init__(self, host: str, port: int, connections: int, spoiled: bytes = b"") -> None:
        """Connect.

        Args:
            spoiled: an answer whose body contains these bytes does not count; empty: every 200 counts.

        Raises:
            FraudsimError: the port refuses connections.
        """
        try:
            self._idle = deque(_Connection((host, port)) for _ in range(connections))
        except OSError as error:
            raise FraudsimError(f"bench: no connection to {host}:{port}: {error}") from None
        self._busy: dict[int, _Connection] = {}
        self._address = (host, port)
        self._spoiled = spoiled

    def close(self) -> None:
        for connection in (*self._idle, *self._busy.values()):
            connection.socket.close()

    def ask(self, request: bytes, timeout_s: float = 30.0) -> tuple[int, bytes]:
        """Status and body of one request."""
        connection = self._idle[0]
        connection.send(request, 0.0)
        connection.socket.settimeout(timeout_s)
        while not connection.receive():
            pass
        return connection.status, connection.body

    def open(self, make: MakeRequest, first: int, rate: float, seconds: float) -> Load:
        """Send requests `first`, `first` + 1, … at `rate` a second; one without a free connection waits."""
        self._renew_closed()
        count = max(1, round(rate * seconds))
        answers = Answers()
        started_s = time.perf_counter() + 0.01
        give_up_s = started_s + seconds + PATIENCE_S
        sent = 0
        while sent < count or self._busy:
            now_s = time.perf_counter()
            if now_s > give_up_s:
                break
            due = min(count, int((now_s - started_s) * rate) + 1) if now_s >= started_s else 0
            while sent < due and self._idle:
                self._send(make(first + sent), started_s + sent / rate)
                sent += 1
            next_s = started_s + sent / rate if sent < count and self._idle else give_up_s
            self._receive(max(0.0, min(next_s - time.perf_counter(), 0.1)), answers)
        took_s = max(seconds, time.perf_counter() - started_s)
        self._renew_busy()
        return Load(count, took_s, answers)

    def closed(self, make: MakeRequest, first: int, connections: int, seconds: float) -> Load:
        """Keep `connections` requests in flight for `seconds`."""
        self._renew_closed()
        answers = Answers()
        started_s = time.perf_counter()
        ends_s = started_s + seconds
        sent = 0
        while True:
            now_s = time.perf_counter()
            while now_s < ends_s and self._idle and len(self._busy) < connections:
                self._send(make(first + sent), time.perf_counter())
                sent += 1
            if not self._busy or now_s > ends_s + PATIENCE_S:
                break
            self._receive(0.1, answers)
        took_s = time.perf_counter() - started_s
        self._renew_busy()
        return Load(sent, took_s, answers)

    def _send(self, request: bytes, intended_s: float) -> None:
        connection = self._idle.popleft()
        self._busy[connection.socket.fileno()] = connection
        connection.send(request, intended_s)

    def _receive(self, wait_s: float, answers: Answers) -> None:
        ready, _, _ = select.select(self._busy, (), (), wait_s)
        for descriptor in ready:
            connection = self._busy[descriptor]
            try:
                complete = connection.receive()
            except OSError:
                del self._busy[descriptor]
                answers.refuse(0)
                connection.socket.close()
                self._idle.append(_Connection(self._address))
                continue
            if not complete:
                continue
            del self._busy[descriptor]
            self._idle.append(connection)
            if connection.status == 200 and not (self._spoiled and self._spoiled in connection.body):
                answers.add(connection.intended_s)
            else:
                answers.refuse(connection.status)

    def _renew_closed(self) -> None:
        """Replace idle connections that the server closed, as uvicorn does after five seconds."""
        readable, _, _ = select.select([connection.socket for connection in self._idle], (), (), 0)
        for index, connection in enumerate(self._idle):
            if connection.socket in readable:
                connection.socket.close()
                self._idle[index] = _Connection(self._address)

    def _renew_busy(self) -> None:
        """Replace connections whose answer is no longer awaited."""
        for connection in self._busy.values():
            connection.socket.close()
            self._idle.append(_Connection(self._address))
        self._busy.clear()
