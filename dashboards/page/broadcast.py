"""Server-sent events to several clients; a slow one misses updates, and nobody waits for it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

CLIENTS: Final = 10
EVERY_S: Final = 0.25
SERIES_EVERY: Final = 4
"""Every so many snapshots the plots' series follow."""
Make = Callable[[bool], bytes]
"""Makes an event's JSON, with the truth or without it."""


def event(name: str, data: bytes) -> bytes:
    """One server-sent event; JSON has no line breaks of its own."""
    return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"


class TooManyClientsError(Exception):
    """There are `CLIENTS` streams already."""


class _Client:
    """One stream: the latest event of each name that it has not taken."""

    def __init__(self, truth: bool) -> None:
        self.truth = truth
        self.untaken: dict[str, bytes] = {}
        self.ready = asyncio.Event()

    def put(self, name: str, message: bytes) -> None:
        self.untaken[name] = message
        self.ready.set()


class Broadcast:
    """Makes every event once for all clients with the truth, and once for all without."""

    def __init__(self, snapshot: Make, series: Make, observe: Callable[[], None]) -> None:
        """`observe` is called once a second, with clients or without."""
        self._observe = observe
        self._snapshot, self._series = snapshot, series
        self._clients: set[_Client] = set()

    def __len__(self) -> int:
        return len(self._clients)

    @asynccontextmanager
    async def stream(self, truth: bool) -> AsyncIterator[AsyncIterator[bytes]]:
        """The events of a new client.

        Raises:
            TooManyClientsError: there are `CLIENTS` already.
        """
        if len(self._clients) >= CLIENTS:
            raise TooManyClientsError
        client = _Client(truth)
        client.put("snapshot", event("snapshot", self._snapshot(truth)))
        client.put("series", event("series", self._series(truth)))
        self._clients.add(client)
        try:
            yield _messages(client)
        finally:
            self._clients.discard(client)

    async def run(self) -> None:
        """Send updates until cancelled; without clients none is made."""
        turn = 0
        while True:
            await asyncio.sleep(EVERY_S)
            turn += 1
            if turn % SERIES_EVERY == 0:
                self._observe()
            for truth in {client.truth for client in self._clients}:
                self._send(truth, "snapshot", self._snapshot)
                if turn % SERIES_EVERY == 0:
                    self._send(truth, "series", self._series)

    def _send(self, truth: bool, name: str, make: Make) -> None:
        message = event(name, make(truth))
        for client in self._clients:
            if client.truth == truth:
                client.put(name, message)


async def _messages(client: _Client) -> AsyncIterator[bytes]:
    while True:
        await client.ready.wait()
        client.ready.clear()
        messages, client.untaken = client.untaken, {}
        yield b"".join(messages.values())
