"""Writing slots through the fence of a real Redis: all or nothing of each, whatever Redis has forgotten."""

import asyncio

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from fraudsim.errors import FraudsimError
from stream_features.store.connection import RedisClient
from stream_features.store.eviction import check_keeps_all
from stream_features.store.keys import fresh_key, watermark_key
from stream_features.store.state_store import RedisFullError, SlotWrite, StateStore

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
    assert redis.mget(fresh_key(901), fresh_key(902)) == [b"17", None]  # nothing is fresh that was refused


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


def store_call(stack, call):
    async def go():
        client = RedisClient.with_long_timeouts(stack.redis_url)
        try:
            return await call(StateStore(client))
        finally:
            await client.close()

    return asyncio.run(go())


def test_a_slot_is_marked_fresh_by_its_owner_only(stack, redis):
    assert store_call(stack, lambda store: store.mark_fresh({901: b"old"}, 5))
    assert not store_call(stack, lambda store: store.mark_fresh({901: b"old", 902: b"old"}, 7))
    assert redis.mget(fresh_key(901), fresh_key(902)) == [b"7", None]


def test_the_memory_of_redis_and_its_limit_are_read_even_when_it_is_full(stack, redis):
    memory = store_call(stack, lambda store: store.memory())
    assert (memory.used > 100_000, memory.limit) == (True, 0)
    redis.config_set("maxmemory", 1_000)
    try:
        assert store_call(stack, lambda store: store.memory()).limit == 1_000
    finally:
        redis.config_set("maxmemory", 0)


@pytest.fixture
def full(redis):
    redis.config_set("maxmemory", 1)
    yield
    redis.config_set("maxmemory", 0)


def test_a_full_redis_is_an_error_of_its_own_and_writes_nothing(stack, redis, full):
    with pytest.raises(RedisFullError, match="OOM"):
        write(stack, LET_THROUGH, fresh_at_ms=17)
    with pytest.raises(RedisFullError, match="OOM"):
        store_call(stack, lambda store: store.mark_fresh({901: b"old"}, 5))
    assert redis.mget(*LET_THROUGH.blobs, watermark_key(901), fresh_key(901)) == [None, None, b"old", None]


def test_keys_are_swept_from_a_full_redis_by_their_slot_s_owner_if_they_are_as_expected(stack, redis):
    redis.mset({"{s901}:card:a": "A", "{s901}:card:b": "B", "{s902}:card:c": "C"})
    redis.config_set("maxmemory", 1)
    try:
        blobs = {"{s901}:card:a": b"A", "{s901}:card:b": b"other", "{s901}:card:absent": b""}
        assert store_call(stack, lambda store: store.sweep(901, b"old", blobs)) == 1
        assert store_call(stack, lambda store: store.sweep(902, b"old", {"{s902}:card:c": b"C"})) == 0
    finally:
        redis.config_set("maxmemory", 0)
    assert redis.mget("{s901}:card:a", "{s901}:card:b", "{s902}:card:c") == [None, b"B", b"C"]


def test_the_eviction_policy_is_known_without_config(stack, redis):
    assert store_call(stack, lambda store: store.evicts_by()) == "noeviction"
    redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        assert store_call(stack, lambda store: store.evicts_by()) == "allkeys-lru"
        with pytest.raises(
            FraudsimError, match="maxmemory-policy allkeys-lru, so it may drop state: set it to"
        ):
            check_keeps_all(redis)
    finally:
        redis.config_set("maxmemory-policy", "noeviction")
