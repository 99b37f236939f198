"""An open-loop HTTP client: sends at a steady rate whatever the replies do, over kept connections."""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from typing import Any

CONNECTIONS = 64


class OpenLoop(threading.Thread):
    """POSTs `body(0)`, `body(1)`, … at a rate until `end` is called, and keeps every reply."""

    def __init__(self, port: int, path: str, rate: float, body: Callable[[int], bytes]) -> None:
        super().__init__(daemon=True)
        self.port, self.path, self.rate, self.body = port, path, rate, body
        self.sent = 0
        self.replies: list[tuple[int, int, Any, float]] = []
        """(number, status, JSON, seconds since it was due)."""
        self.failures: list[tuple[int, str]] = []
        """(number, error)."""
        self.over = threading.Event()

    def run(self) -> None:
        asyncio.run(self._run())

    def end(self) -> None:
        """Stop sending, and wait for the outstanding replies."""
        self.over.set()
        self.join(60)
        assert not self.is_alive()

    async def _run(self) -> None:
        due: asyncio.Queue[tuple[int, float] | None] = asyncio.Queue()
        clients = [asyncio.create_task(self._send_due(due)) for _ in range(CONNECTIONS)]
        started = time.monotonic()
        while not self.over.is_set():
            due_s = started + self.sent / self.rate
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            due.put_nowait((self.sent, due_s))
            self.sent += 1
        for _ in clients:
            due.put_nowait(None)
        await asyncio.gather(*clients)

    async def _send_due(self, due: asyncio.Queue[tuple[int, float] | None]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        while (entry := await due.get()) is not None:
            number, due_s = entry
            try:
                status, reply = await self._post(reader, writer, self.body(number))
                self.replies.append((number, status, reply, time.monotonic() - due_s))
            except Exception as error:
                self.failures.append((number, repr(error)))
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.close()

    async def _post(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes
    ) -> tuple[int, Any]:
        writer.write(
            f"POST {self.path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        size = int(head.split("content-length:")[1].split("\r\n")[0])
        return int(head.split(" ", 2)[1]), json.loads(await reader.readexactly(size))
