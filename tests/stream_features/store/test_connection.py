"""Many callers share one connection: each gets its own reply, and a lost connection is replaced."""

import asyncio
from contextlib import asynccontextmanager

import hiredis
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from stream_features.store.connection import RedisClient
from stream_features.store.state_store import StateStore


class Redis:
    """A fake server that replies to ECHO and MGET, and delays, refuses or hangs up as a test sets it."""

    def __init__(self):
        self.commands = []
        self.connections = []
        self.chunks = 0
        self.may_reply = asyncio.Event()
        self.may_reply.set()
        self.hang_up = 0
        self.errors = {}

    async def serve(self, reader, writer):
        self.connections.append(writer)
        parser = hiredis.Reader()
        while data := await reader.read(65_536):
            self.chunks += 1
            parser.feed(data)
            while (command := parser.gets()) is not False:
                self.commands.append(command)
                if self.hang_up:
                    self.hang_up -= 1
                    writer.close()
                    return
                await self.may_reply.wait()
                writer.write(self.reply(command))

    def reply(self, command):
        words = [bytes(word) for word in command]
        if words[-1] in self.errors:
            return b"-ERR " + self.errors[words[-1]] + b"\r\n"
        if words[0] == b"MGET":
            bulk = b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words[1:])
            return b"*%d\r\n%s" % (len(words) - 1, bulk)
        return b"$%d\r\n%s\r\n" % (len(words[-1]), words[-1])


@asynccontextmanager
async def served(path="", login="", reply_timeout_s=20.0):
    redis = Redis()
    server = await asyncio.start_server(redis.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"redis://{login}127.0.0.1:{port}{path}"
    client = RedisClient(url, connect_timeout_s=20.0, reply_timeout_s=reply_timeout_s)
    redis.url = url
    try:
        yield redis, client
    finally:
        redis.may_reply.set()
        await client.close()
        for writer in redis.connections:
            writer.close()
        server.close()


async def await_commands(redis, count):
    async with asyncio.timeout(20):
        while len(redis.commands) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.001)


def run(scene, **options):
    async def with_server():
        async with served(**options) as (redis, client):
            await scene(redis, client)

    asyncio.run(with_server())


def test_each_of_many_gets_its_own_reply_over_one_connection():
    async def scene(redis, client):
        replies = await asyncio.gather(*(client.execute("ECHO", f"{n}") for n in range(300)))
        assert replies == [f"{n}".encode() for n in range(300)]
        nothing, three, one = await asyncio.gather(
            client.execute_many([]),
            client.execute_many([("ECHO", "a"), ("ECHO", b"b"), ("ECHO", 3)]),
            client.execute("ECHO", "c"),
        )
        assert (nothing, three, one) == ([], [b"a", b"b", b"3"], b"c")
        assert len(redis.connections) == 1

    run(scene)


def test_a_command_is_sent_before_its_reply_is_awaited():
    async def scene(redis, client):
        await client.execute("ECHO", "connected")
        two, one = client.execute_many([("ECHO", "a"), ("ECHO", "b")]), client.execute("ECHO", "c")
        await await_commands(redis, 4)
        assert (await one, await two) == (b"c", [b"a", b"b"])

    run(scene)


def test_a_lingering_command_is_sent_with_the_next_or_by_itself():
    async def scene(redis, client):
        await client.execute("ECHO", "connected")
        first = client.execute("ECHO", "a", linger_s=20.0)
        await asyncio.sleep(0.05)
        assert len(redis.commands) == 1
        chunks = redis.chunks
        second = client.execute("ECHO", "b")
        assert (await first, await second, redis.chunks) == (b"a", b"b", chunks + 1)
        assert await client.execute("ECHO", "c", linger_s=0.01) == b"c"

    run(scene)


def test_a_command_sent_at_once_ends_the_linger_of_those_before_it():
    """Their timer would send what lingers after them too early."""

    async def scene(redis, client):
        await client.execute("ECHO", "a")
        early = client.execute("ECHO", "b", linger_s=0.05)
        await client.execute("ECHO", "c")
        assert await early == b"b"
        late = asyncio.ensure_future(client.execute("ECHO", "d", linger_s=20.0))
        await asyncio.sleep(0.2)
        assert not late.done()
        assert len(redis.commands) == 3
        await client.execute("ECHO", "e")
        assert await late == b"d"

    run(scene)


def test_a_command_that_lingers_when_the_connection_ends_is_sent_over_the_next():
    async def scene(redis, client):
        await client.execute("ECHO", "connected")
        lingers = asyncio.ensure_future(client.execute("ECHO", "a", linger_s=0.05))
        redis.connections[0].close()
        assert await lingers == b"a"
        assert len(redis.connections) == 2

    run(scene)


def test_a_cancelled_caller_takes_no_other_callers_reply():
    async def scene(redis, client):
        redis.may_reply.clear()
        asking = [asyncio.create_task(client.execute("ECHO", n)) for n in range(6)]
        await await_commands(redis, 1)
        asking[0].cancel()
        asking[3].cancel()
        await asyncio.sleep(0)
        redis.may_reply.set()
        replies = await asyncio.gather(*asking, return_exceptions=True)
        assert [f for f in replies if isinstance(f, bytes)] == [b"1", b"2", b"4", b"5"]
        assert [isinstance(f, asyncio.CancelledError) for f in replies] == [n in (0, 3) for n in range(6)]

    run(scene)


def test_an_error_goes_to_the_caller_of_its_command():
    async def scene(redis, client):
        redis.errors[b"bad"] = b"wrong"
        replies = await asyncio.gather(
            *(client.execute("ECHO", word) for word in ("a", "bad", "b")), return_exceptions=True
        )
        assert (replies[0], replies[2]) == (b"a", b"b")
        assert isinstance(replies[1], ResponseError)
        assert "wrong" in str(replies[1])

    run(scene)


def test_a_command_that_was_cut_off_is_sent_over_the_next_connection_once():
    async def scene(redis, client):
        assert await client.execute("ECHO", "first") == b"first"
        redis.hang_up = 1
        replies = await asyncio.gather(*(client.execute("ECHO", n) for n in range(5)))
        assert replies == [b"0", b"1", b"2", b"3", b"4"]
        assert len(redis.connections) == 2
        redis.hang_up = 2
        with pytest.raises(RedisConnectionError):
            await client.execute("ECHO", "x")
        assert await client.execute("ECHO", "y") == b"y"

    run(scene)


def test_a_missing_reply_ends_the_connection_for_all_waiting_callers():
    async def scene(redis, client):
        redis.may_reply.clear()
        replies = await asyncio.gather(*(client.execute("ECHO", n) for n in range(3)), return_exceptions=True)
        assert all(isinstance(error, RedisTimeoutError) for error in replies)
        redis.may_reply.set()
        assert await client.execute("ECHO", "later") == b"later"
        assert len(redis.connections) == 2

    run(scene, reply_timeout_s=0.2)


def test_without_a_server_it_is_a_connection_error():
    async def scene():
        client = RedisClient("redis://127.0.0.1:1/0", connect_timeout_s=20.0, reply_timeout_s=20.0)
        for _ in range(2):
            with pytest.raises(RedisConnectionError):
                await client.execute("PING")

    asyncio.run(scene())


def test_the_urls_user_password_and_database_come_first():
    async def scene(redis, client):
        await asyncio.gather(client.execute("ECHO", "a"), client.execute("ECHO", "b"))
        assert [[bytes(word) for word in command] for command in redis.commands] == [
            [b"AUTH", b"ann", b"secret"],
            [b"SELECT", b"3"],
            [b"ECHO", b"a"],
            [b"ECHO", b"b"],
        ]

    run(scene, path="/3", login="ann:secret@")


def test_a_refused_password_is_an_error_and_tried_again():
    async def scene(redis, client):
        redis.errors[b"wrong"] = b"WRONGPASS"
        for _ in range(2):
            with pytest.raises(ResponseError, match="WRONGPASS"):
                await client.execute("ECHO", "a")
        redis.errors.clear()
        assert await client.execute("ECHO", "a") == b"a"

    run(scene, login=":wrong@")


def test_the_store_reads_all_keys_in_one_command():
    async def scene(redis, client):
        store = StateStore(client)
        assert await store.read([]) == []
        assert await store.read(["a", "b"]) == [b"a", b"b"]
        assert redis.commands == [[b"MGET", b"a", b"b"]]

    run(scene)
