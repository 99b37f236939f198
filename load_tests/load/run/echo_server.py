"""A loopback server that answers every request at once: a latency against it is the generator's own.

    python -m load_tests.load.run.echo_server

It prints its port, and ends when its standard input does.
"""

import asyncio
import sys
from typing import Final, cast

from fraudsim.process.garbage_collection import freeze_gc

ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"


class EchoProtocol(asyncio.Protocol):
    """Answers each request when its last byte has come."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (head_end := self._data.find(_HEAD_END)) >= 0:
            head = self._data[:head_end].lower()
            start = head.find(_LENGTH)
            length = int(head[start + len(_LENGTH) :].split(b"\r\n", 1)[0]) if start >= 0 else 0
            end = head_end + len(_HEAD_END) + length
            if len(self._data) < end:
                return
            self._data = self._data[end:]
            self._transport.write(ANSWER)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(EchoProtocol, "127.0.0.1", 0, backlog=1024)
    freeze_gc()
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    import uvloop

    uvloop.run(_serve())
