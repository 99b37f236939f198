"""The HTTP protocol: what is served as HTTP/1.1, and how long and how many connections may wait."""

import asyncio
import contextlib
import json
import re
import shutil
import socket
import subprocess

import pytest

from fraudsim.log.events import encoder
from scorer.http.protocol import BoundedProtocol
from testing.rigs.http_rig import HttpRig, score_body
from testing.rigs.served_rig import start_server
from testing.rigs.stream_rig import until

BODY = encoder.encode(score_body("a"))
REQUEST = b"POST /v1/score HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % len(BODY)


class Hasty(BoundedProtocol):
    request_s = 0.7
    drain_s = 0.7
    max_connections = 8
    reserved_connections = 4


@contextlib.asynccontextmanager
async def served_at(protocol=Hasty):
    """The port of the API."""
    server, serving, port = await start_server(HttpRig(), protocol)
    try:
        yield port
    finally:
        # Forced: a connection that should have been closed and was not would hold it for ever.
        server.should_exit = server.force_exit = True
        await serving


@contextlib.asynccontextmanager
async def served():
    """(reader, writer) of a connection to the API."""
    async with served_at() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield reader, writer
        finally:
            writer.close()


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


# Upgrades

JDK = (
    b"POST /v1/score HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nContent-Length: %d\r\n"
    b"Host: localhost:8000\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\nUpgrade: h2c\r\n"
    b"User-Agent: Java-http-client/17.0.2\r\n\r\n"
) % len(BODY)
"""The head that the JDK's HttpClient sends."""
CHUNKED = JDK.replace(b"Content-Length: %d" % len(BODY), b"Transfer-Encoding: chunked")
WEBSOCKET = JDK.replace(b"Upgrade: h2c", b"Upgrade: websocket").replace(b", HTTP2-Settings", b"")
TWO_LINES = JDK.replace(
    b"Connection: Upgrade, HTTP2-Settings", b"Connection: Upgrade\r\nConnection: keep-alive"
)


@pytest.mark.parametrize("piece_size", [1, 7, 100, 10_000])
@pytest.mark.parametrize(
    ("head", "body"),
    [
        (JDK, BODY),
        (CHUNKED, b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)),
        (WEBSOCKET, BODY),
        (TWO_LINES, BODY),
    ],
)
def test_an_offer_of_another_protocol_is_declined_and_the_request_served_whole(head, body, piece_size):
    class Patient(Hasty):
        request_s = 60.0

    async def scene():
        async with served_at(Patient) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            sent = (head + body) * 2 + REQUEST + BODY
            for start in range(0, len(sent), piece_size):
                writer.write(sent[start : start + piece_size])
                if piece_size < len(head):
                    await asyncio.sleep(0)
            for _ in range(3):
                status, reply = await reply_of(reader)
                assert (status, reply["tx_id"]) == (200, "a")
            writer.close()

    asyncio.run(scene())


def test_many_offers_in_one_packet_are_each_served():
    async def scene():
        async with served() as (reader, writer):
            writer.write((JDK + BODY) * 600)
            for _ in range(600):
                assert (await reply_of(reader))[0] == 200

    asyncio.run(scene())


JAVA = """
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;

public class Ask {
    public static void main(String[] args) throws Exception {
        var client = HttpClient.newHttpClient();
        for (int n = 0; n < 3; n++) {
            var body = HttpRequest.BodyPublishers.ofString(args[1]);
            var request = HttpRequest.newBuilder(URI.create(args[0])).POST(body).build();
            System.out.println(client.send(request, BodyHandlers.ofString()).statusCode());
        }
    }
}
"""


def test_the_jdks_own_client_is_served(tmp_path):
    java = shutil.which("java")
    asked = subprocess.run([java, "-version"], capture_output=True, text=True, check=False) if java else None
    version = asked.stderr if asked else ""
    major = re.search(r'version "(\d+)', version)
    if major is None or int(major[1]) < 11:
        pytest.skip("needs java 11 or newer, which compiles and runs one source file")
    source = tmp_path / "Ask.java"
    source.write_text(JAVA)

    async def scene():
        async with served_at(BoundedProtocol) as port:
            asking = await asyncio.create_subprocess_exec(
                java, str(source), f"http://127.0.0.1:{port}/v1/score", BODY.decode(),
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            output, _ = await asking.communicate()
            assert output.split() == [b"200"] * 3, output.decode()

    asyncio.run(scene())


# Connections


def test_a_connection_on_which_nothing_comes_is_closed():
    async def scene():
        async with served() as (reader, writer):
            assert await hung_up_on(reader) == b""
            writer.close()

    asyncio.run(scene())


def test_white_space_between_requests_does_not_keep_a_connection():
    async def scene():
        async with served() as (reader, writer):
            writer.write(REQUEST + BODY)
            assert (await reply_of(reader))[0] == 200
            writer.write(b"\r\n")
            assert await hung_up_on(reader) == b""

    asyncio.run(scene())


@pytest.mark.parametrize("closing", [b"", b"connection: close\r\n"])
def test_a_client_that_takes_no_replies_is_hung_up_on(closing):
    open_connections = set()

    class Recorded(Hasty):
        def connection_made(self, transport):
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            super().connection_made(transport)
            open_connections.add(self)

        def connection_lost(self, exc):
            super().connection_lost(exc)
            open_connections.discard(self)

    async def scene():
        # Closed whatever happens: its task waits for it, and takes no cancelling.
        with socket.socket() as taciturn:
            async with served_at(Recorded) as port, asyncio.timeout(30):
                taciturn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                taciturn.setblocking(False)
                await asyncio.get_running_loop().sock_connect(taciturn, ("127.0.0.1", port))
                ask = b"GET /v1/openapi.json HTTP/1.1\r\nhost: localhost\r\n%b\r\n" % closing
                await asyncio.get_running_loop().sock_sendall(taciturn, ask if closing else ask * 40)
                await until(lambda: open_connections)
                await until(lambda: not open_connections)

    asyncio.run(scene())


GET = b"GET %b HTTP/1.1\r\nhost: localhost\r\n\r\n"


async def asked(port, request):
    """(status, JSON, whether the connection is closed after it)."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    status, reply = await reply_of(reader)
    writer.close()
    return status, reply


def test_silent_connections_lock_nobody_out_of_the_health():
    class Patient(Hasty):
        request_s = 60.0

    async def scene():
        async with served_at(Patient) as port:
            silent = []
            for _ in range(3 * (Hasty.max_connections + Hasty.reserved_connections)):
                silent.append(await asyncio.open_connection("127.0.0.1", port))
                assert (await asked(port, GET % b"/healthz"))[0] == 200
            status, refused = await asked(port, REQUEST + BODY)
            assert (status, refused["detail"]) == (503, "too many connections")
            assert await hung_up_on(silent[0][0]) == b""
            for _, writer in silent:
                writer.close()
            async with asyncio.timeout(20):
                while (await asked(port, REQUEST + BODY))[0] != 200:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)

    asyncio.run(scene())


# What its authors did not think of


def post(body, *headers, target=b"/v1/score", version=b"1.1", host=b"localhost", sized=True):
    """A request, head and body."""
    size = [b"content-length: %d" % len(body)] if sized else []
    lines = [b"POST %b HTTP/%b" % (target, version), b"host: " + host, *size, *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def chunked(body, trailers=b""):
    return b"%x;name=value\r\n%b\r\n0\r\n%b\r\n" % (len(body), body, trailers)


async def replies_to(port, parts, count):
    """(status, JSON or text) of every reply: of `count`, and of those that come in 50 ms after them."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in parts:
        writer.write(part)
        await asyncio.sleep(0.01)
    replies = []
    with contextlib.suppress(TimeoutError, asyncio.IncompleteReadError):
        while True:
            async with asyncio.timeout(20 if len(replies) < count else 0.05):
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                size = re.search(rb"content-length: (\d+)", head)
                body = await reader.readexactly(int(size[1])) if size else b""
            if not head.startswith(b"http/1.1 100"):
                kind = json.loads if b"json" in head else bytes.decode
                replies.append((int(head.split()[1]), kind(body)))
    writer.close()
    return replies


def scored(tx_id="a"):
    return encoder.encode(score_body(tx_id))


ODD = {
    "the body waits for 100 Continue": ([post(BODY, b"expect: 100-continue")[: -len(BODY)], BODY], [200]),
    "another expectation": ([post(BODY, b"expect: a miracle")], [200]),
    "trailers": (
        [post(b"", b"transfer-encoding: chunked", sized=False) + chunked(BODY, b"host: evil.example\r\n")],
        [200],
    ),
    "a trailer from another site": (
        [post(b"", b"transfer-encoding: chunked", sized=False) + chunked(BODY, b"origin: null\r\n")],
        [200],
    ),
    "the whole URL": ([post(BODY, target=b"http://localhost:8000/v1/score")], [200]),
    "the whole URL of another host": ([post(BODY, target=b"http://evil.example/v1/score")], [421]),
    "the whole URL of another user": ([post(BODY, target=b"http://localhost@evil.example/v1/score")], [421]),
    "a URL within a URL": ([post(BODY, target=b"/v1/score?from=http://evil.example/")], [200]),
    "two hosts": ([post(BODY, b"host: localhost", host=b"evil.example")], [421]),
    "two origins": ([post(BODY, b"origin: http://evil.example", b"origin: http://localhost")], [403]),
    "HTTP/1.0, kept alive": ([post(BODY, b"connection: keep-alive", version=b"1.0")], [200]),
    "a squeezed body": ([post(BODY, b"content-encoding: gzip")], [415]),
    "a squeezed transfer": (
        [post(b"", b"transfer-encoding: gzip, chunked", sized=False), chunked(BODY)], [415],
    ),
    "a size that stands twice": ([post(BODY, b"content-length: 5")], [400]),
    "a size and chunks": ([post(b"", b"transfer-encoding: chunked"), chunked(BODY)], [400]),
    "a negative size": ([post(BODY, b"content-length: -1", sized=False)], [400]),
    "a folded header": ([post(BODY, b"x: 1\r\n 2")], [400]),
    "a folded host": ([post(BODY, host=b"localhost\r\n .evil.example")], [400]),
    "HTTP/2 without asking": ([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\x12\4" + 20 * b"\0"], [400]),
    "TLS": ([b"\x16\3\1\2\0\1\0\1\xfc\3\3" + 500 * b"\0"], [400]),
    "many headers": ([post(BODY, *(b"a%d:" % n for n in range(5_000)))], [431]),
    "OPTIONS": ([post(BODY).replace(b"POST", b"OPTIONS")], [405]),
    "OPTIONS of everything": ([b"OPTIONS * HTTP/1.1\r\nhost: localhost\r\n\r\n"], [404]),
    "a hundred at once": ([b"".join(post(scored(f"p{n}")) for n in range(100))], [200] * 100),
    "no HTTP after a request": ([post(BODY) + b"\0garbage"], [200, 400]),
    "no HTTP after three requests": ([post(BODY) * 3 + b"\0\r\n\r\n" + post(BODY)], [200, 200, 200, 400]),
    "a bad chunk after a request": (
        [post(BODY) + post(b"", b"transfer-encoding: chunked", sized=False) + b"zz\r\n"], [200, 400],
    ),
    "a bad chunk after a refusal": (
        [post(b"", b"transfer-encoding: chunked", host=b"evil.example", sized=False), b"zz\r\n"], [421],
    ),
    "a head without an end after a request": ([post(BODY) + b"GET /?" , b"a" * 90_000], [200, 400]),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_whatever_is_sent_each_request_gets_the_one_reply_it_should(name):
    parts, statuses = ODD[name]

    async def scene():
        async with served_at() as port:
            replies = await replies_to(port, parts, len(statuses))
            assert [status for status, _ in replies] == statuses

    asyncio.run(scene())


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_body_in_another_encoding_is_told_which_to_use(encoding):
    async def scene():
        async with served_at() as port:
            body = BODY.decode().encode(encoding)
            batch = (b'{"transactions": [%b]}' % BODY).decode().encode(encoding)
            for request in (post(body), post(batch, target=b"/v1/score/batch")):
                ((status, reply),) = await replies_to(port, [request], 1)
                assert (status, reply["field"]) == (400, "value")
                assert reply["detail"] == "JSON is UTF-8 without a byte order mark: encode the body so"

    asyncio.run(scene())
