"""Requests at a steady rate whatever the replies do, over connections that are kept."""

import asyncio
import json
import threading
import time

CONNECTIONS = 64


class OpenLoop(threading.Thread):
    """POSTs what `body` makes of 0, 1, 2… at a rate until told to end, and keeps every reply."""

    def __init__(self, port, path, rate, body):
        super().__init__(daemon=True)
        self.port, self.path, self.rate, self.body = port, path, rate, body
        self.sent = 0
        self.replies = []
        """(number, status, JSON, seconds since it was due)."""
        self.failures = []
        self.over = threading.Event()

    def run(self):
        asyncio.run(self._run())

    def end(self):
        """Send no more, and wait for the replies under way."""
        self.over.set()
        self.join(60)
        assert not self.is_alive()

    async def _run(self):
        due = asyncio.Queue()
        clients = [asyncio.create_task(self._answer(due)) for _ in range(CONNECTIONS)]
        started = time.monotonic()
        while not self.over.is_set():
            at = started + self.sent / self.rate
            await asyncio.sleep(max(0.0, at - time.monotonic()))
            due.put_nowait((self.sent, at))
            self.sent += 1
        for _ in clients:
            due.put_nowait(None)
        await asyncio.gather(*clients)

    async def _answer(self, due):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        while (one := await due.get()) is not None:
            number, at = one
            try:
                status, reply = await self._ask(reader, writer, self.body(number))
                self.replies.append((number, status, reply, time.monotonic() - at))
            except Exception as error:
                self.failures.append((number, repr(error)))
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.close()

    async def _ask(self, reader, writer, body):
        writer.write(
            f"POST {self.path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        size = int(head.split("content-length:")[1].split("\r\n")[0])
        return int(head.split(" ", 2)[1]), json.loads(await reader.readexactly(size))
