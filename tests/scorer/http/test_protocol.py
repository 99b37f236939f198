"""The HTTP protocol: a reply leaves in one send, and a request must be complete in time."""

import asyncio
import contextlib
import json

import pytest

from fraudsim.log.events import encoder
from scorer.http.protocol import BoundedProtocol, OneSend
from testing.rigs.http_rig import HttpRig, score_body
from testing.rigs.served_rig import start_server

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n"
BODY = encoder.encode(score_body("a"))
REQUEST = b"POST /v1/score HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(BODY)


class Wire(asyncio.Transport):
    """Keeps what is sent, send by send."""

    def __init__(self):
        super().__init__()
        self.sends = []

    def write(self, data):
        self.sends.append(bytes(data))

    def close(self):
        self.sends.append("closed")


def on_wire(scene):
    async def whole():
        wire = Wire()
        await scene(OneSend(wire), wire)
        return wire.sends

    return asyncio.run(whole())


def test_head_and_body_leave_in_one_send():
    async def scene(transport, wire):
        for sent in range(2):
            transport.write(HEAD)
            assert len(wire.sends) == sent
            transport.write(b"body")
        await asyncio.sleep(0)

    assert on_wire(scene) == [HEAD + b"body"] * 2


def test_a_head_that_stands_alone_leaves_when_the_loop_comes_round():
    async def scene(transport, wire):
        transport.write(HEAD)
        await asyncio.sleep(0)
        assert wire.sends == [HEAD]
        transport.write(b"body")

    assert on_wire(scene) == [HEAD, b"body"]


def test_a_100_continue_is_sent_at_once():
    async def scene(transport, wire):
        transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert len(wire.sends) == 1

    on_wire(scene)


def test_hanging_up_loses_no_head():
    async def scene(transport, wire):
        transport.write(HEAD)
        transport.close()
        await asyncio.sleep(0)

    assert on_wire(scene) == [HEAD, "closed"]


class Hasty(BoundedProtocol):
    request_s = 0.7


@contextlib.asynccontextmanager
async def served():
    """(reader, writer) of a connection to the API."""
    server, serving, port = await start_server(HttpRig(), Hasty)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        server.should_exit = True
        await serving


async def reply_of(reader):
    """(status, JSON)."""
    async with asyncio.timeout(20):
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode().lower().split("\r\n")
        size = next(int(line.split(":")[1]) for line in lines if line.startswith("content-length"))
        return int(lines[0].split()[1]), json.loads(await reader.readexactly(size))


async def hung_up_on(reader):
    async with asyncio.timeout(20):
        return await reader.read()


@pytest.mark.parametrize("part", [REQUEST[:30], REQUEST, REQUEST + BODY[:10]])
def test_a_request_that_is_not_complete_in_time_gets_408_and_is_closed(part):
    async def scene():
        async with served() as (reader, writer):
            writer.write(part)
            status, body = await reply_of(reader)
            assert (status, body["status"], body["field"]) == (408, 408, "request")
            assert body["type"].endswith("request-timeout")
            assert await hung_up_on(reader) == b""

    asyncio.run(scene())


def test_what_comes_in_pieces_and_in_time_is_answered_and_an_idle_connection_is_kept():
    async def scene():
        async with served() as (reader, writer):
            for _ in range(2):
                for piece in (REQUEST[:10], REQUEST[10:], BODY[:5], BODY[5:]):
                    writer.write(piece)
                    await asyncio.sleep(0.02)
                assert (await reply_of(reader))[0] == 200
                await asyncio.sleep(1.5 * Hasty.request_s)

    asyncio.run(scene())


def test_who_was_answered_before_the_end_of_the_request_gets_no_second_reply():
    async def scene():
        async with served() as (reader, writer):
            writer.write(REQUEST.replace(b"%d" % len(BODY), b"9999999"))
            assert (await reply_of(reader))[0] == 413
            assert await hung_up_on(reader) == b""

    asyncio.run(scene())
