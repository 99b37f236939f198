"""Writing slots through the fence of a real Redis: all or nothing of each, whatever Redis has forgotten."""

import asyncio

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from stream_features.store.connection import RedisClient
from stream_features.store.keys import fresh_key, watermark_key
from stream_features.store.state_store import SlotWrite, StateStore

pytestmark = pytest.mark.stack


@pytest.fixture
def redis(stack):
    redis = Redis.from_url(stack.redis_url)
    redis.mset({watermark_key(901): b"old", watermark_key(902): b"other"})
    yield redis
    redis.delete(*redis.keys("{s90*}:*"))


def write(stack, *writes, fresh_at_ms=None, before=lambda: None):
    async def go():
        client = RedisClient.with_long_timeouts(stack.redis_url)
        store = StateStore(client)
        try:
            await store.write(())
            before()
            return await store.write(writes, fresh_at_ms)
        finally:
            await client.close()

    return asyncio.run(go())


LET_THROUGH = SlotWrite(901, b"old", b"new", {"{s901}:card:a": b"\x00\xff", "{s901}:card:b": b"B" * 300_000})
KEPT_OUT = SlotWrite(902, b"old", b"new", {"{s902}:card:a": b"A"})


def test_each_slot_is_written_or_kept_out_as_a_whole(stack, redis):
    assert write(stack, LET_THROUGH, KEPT_OUT, fresh_at_ms=17) == [True, False]
    assert redis.mget(*LET_THROUGH.blobs, watermark_key(901)) == [*LET_THROUGH.blobs.values(), b"new"]
    assert redis.mget(*KEPT_OUT.blobs, watermark_key(902)) == [None, b"other"]
    assert redis.get(fresh_key(901)) == b"17"


def test_a_redis_that_forgot_the_script_is_given_it_again(stack, redis):
    assert write(stack, LET_THROUGH, before=redis.script_flush) == [True]


def test_an_error_in_one_reply_is_raised_once_all_are_read(stack, redis):
    async def go():
        client = RedisClient.with_long_timeouts(stack.redis_url)
        store = StateStore(client)
        try:
            redis.delete(watermark_key(902))
            redis.rpush(watermark_key(902), "no string")
            with pytest.raises(ResponseError, match="WRONGTYPE"):
                await store.write([KEPT_OUT, LET_THROUGH])
            assert await store.read([watermark_key(901)]) == [b"new"]
            again = SlotWrite(901, b"new", b"newer", {})
            return await store.write([again])
        finally:
            await client.close()

    assert asyncio.run(go()) == [True]
