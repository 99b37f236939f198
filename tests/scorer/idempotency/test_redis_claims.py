"""Claims in a real Redis: which request holds them, and many at once."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from scorer.idempotency.claims import REPLY_TTL_S, Claim, PriorClaim
from scorer.idempotency.redis_claims import RedisClaims
from stream_features.store.connection import RedisClient

pytestmark = pytest.mark.stack


@asynccontextmanager
async def claim_store(url):
    redis = Redis.from_url(url)
    await redis.delete(*[f"tx:{n}" for n in ("a", "b")])
    link = RedisClient.with_short_timeouts(url)
    yield RedisClaims(link, 2**27), redis
    await link.close()
    await redis.aclose()


def test_a_tx_id_is_claimed_once_and_its_decision_is_kept(stack):
    async def scene():
        async with claim_store(stack.redis_url) as (claims, _):
            first, second, other = Claim.of("a", b"body"), Claim.of("a", b"body"), Claim.of("a", b"another")
            assert await claims.claim(first) is None
            assert await claims.claim(second) == PriorClaim(True, None)
            assert await claims.claim(other) == PriorClaim(False, None)
            assert await claims.stored_reply("a") is None
            await claims.store(first, b"decision")
            assert await claims.claim(second) == PriorClaim(True, b"decision")
            assert await claims.claim(other) == PriorClaim(False, b"decision")
            assert await claims.stored_reply("a") == b"decision"
            assert await claims.stored_reply("b") is None

    asyncio.run(scene())


def test_giving_up_frees_ones_own_claim_and_no_other(stack):
    async def scene():
        async with claim_store(stack.redis_url) as (claims, redis):
            slow, successor = Claim.of("a", b"body"), Claim.of("a", b"body")
            assert await claims.claim(slow) is None
            await redis.delete("tx:a")  # it ran out
            assert await claims.claim(successor) is None
            await claims.release(slow)
            assert await claims.claim(Claim.of("a", b"body")) == PriorClaim(True, None)
            await claims.store(successor, b"decision")
            await claims.release(slow)
            assert await claims.stored_reply("a") == b"decision"
            ours = Claim.of("b", b"body")
            assert await claims.claim(ours) is None
            await claims.release(ours)
            assert await claims.claim(successor) is not None
            assert await claims.claim(Claim.of("b", b"body")) is None

    asyncio.run(scene())


def test_a_claim_whose_reply_was_lost_is_still_ours(stack):
    async def scene():
        async with claim_store(stack.redis_url) as (claims, _):
            ours = Claim.of("a", b"body")
            assert await claims.claim(ours) is None
            assert await claims.claim(ours) is None  # the client sends again what was not answered

    asyncio.run(scene())


def test_many_requests_at_once_make_one_claim_over_one_connection(stack):
    async def scene():
        async with claim_store(stack.redis_url) as (claims, redis):
            before = len(await redis.client_list())
            prior_claims = await asyncio.gather(*(claims.claim(Claim.of("a", b"body")) for _ in range(400)))
            assert prior_claims.count(None) == 1
            assert len(await redis.client_list()) - before <= 1

    asyncio.run(scene())


def test_many_are_claimed_and_kept_at_once_as_each_would_be_alone(stack):
    async def scene():
        async with claim_store(stack.redis_url) as (claims, redis):
            await redis.delete(*[f"tx:many-{n}" for n in range(100)])
            earlier = Claim.of("many-7", b"body")
            assert await claims.claim(earlier) is None
            await claims.store(earlier, b"decision")
            many_claims = [Claim.of(f"many-{n}", b"body") for n in range(100)]
            prior_claims = await claims.claim_all(many_claims)
            assert prior_claims[7] == PriorClaim(True, b"decision")
            assert prior_claims.count(None) == 99
            await claims.store_all([(claim, b"made") for claim in many_claims if claim is not many_claims[7]])
            stored = [await claims.stored_reply(f"many-{n}") for n in (6, 7, 8)]
            assert stored == [b"made", b"decision", b"made"]
            assert 500 < await redis.ttl("tx:many-6") <= REPLY_TTL_S

    asyncio.run(scene())


def test_a_decision_brought_late_is_kept_unless_another_s_stands_there(stack):
    async def scene():
        async with claim_store(stack.redis_url) as (claims, redis):
            late, other = Claim.of("a", b"body"), Claim.of("a", b"body")
            await claims.store_late(late, b"late")  # its SET NX never came
            assert await claims.stored_reply("a") == b"late"
            await redis.delete("tx:a")
            assert await claims.claim(late) is None  # it came after all, before the decision
            await claims.store_late(late, b"late")
            assert await claims.stored_reply("a") == b"late"
            assert 500 < await redis.ttl("tx:a") <= REPLY_TTL_S
            await redis.delete("tx:a")
            assert await claims.claim(other) is None
            await claims.store_late(late, b"late")
            assert await claims.claim(late) == PriorClaim(True, None)
            await claims.ping()

    asyncio.run(scene())
