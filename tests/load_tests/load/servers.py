"""Servers of programmed latency, each in a process of its own.

    python -m tests.load_tests.load.servers MODE

It prints its port, and for `stall` the wall clock time (µs) at which its stalls begin.
"""

import asyncio
import itertools
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

ANSWER = b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
WANTS_TOKEN = (ANSWER % 401).replace(b"/json", b"/problem+json")
PERIOD_S, STALL_S = 2.0, 0.5
"""The server `stall` stands still for `STALL_S` at the end of each period."""
TAIL_EVERY, TAIL_S, FAIL_EVERY = 40, 0.2, 10
SERVICE_S = 0.004


class StubServer(NamedTuple):
    url: str
    started_us: int


class Handler:
    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.numbers = itertools.count()
        self.started_s = time.time()
        self.lock = asyncio.Lock()

    async def delay(self) -> int:
        """Wait as the mode says; returns the status."""
        match self.mode:
            case "tail":
                number = next(self.numbers)
                if number % TAIL_EVERY == 0:
                    await asyncio.sleep(TAIL_S)
                elif number % FAIL_EVERY == 5:
                    return 500
            case "stall":
                phase_s = (time.time() - self.started_s) % PERIOD_S
                if phase_s >= PERIOD_S - STALL_S:
                    await asyncio.sleep(PERIOD_S - phase_s)
            case "service":
                async with self.lock:
                    await asyncio.sleep(SERVICE_S)
            case "refuses":
                return 400
        return 200

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                if b"content-length:" in head:
                    await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
                if head.startswith(b"get"):
                    writer.write(WANTS_TOKEN if self.mode == "token" else ANSWER % 404)
                else:
                    writer.write(ANSWER % await self.delay())
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def main(mode: str) -> None:
    handler = Handler(mode)
    server = await asyncio.start_server(handler.serve, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], int(handler.started_s * 1e6), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


@contextmanager
def serving(mode: str) -> Iterator[StubServer]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.load_tests.load.servers", mode],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        port, started_us = process.stdout.readline().split()
        yield StubServer(f"http://127.0.0.1:{port}/x", int(started_us))
    finally:
        process.kill()
        process.communicate()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
