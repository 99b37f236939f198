"""Places of a day: never more than allowed, the same for who asks again, alike in memory and in Redis."""

import asyncio
import random

import numpy as np
import pytest
from redis.asyncio import Redis

from fraudsim.log.events import Transaction
from model.artefact.thresholds import Thresholds
from scorer.policy.policy import ByThresholds, Exploration, Limits, Policy
from scorer.policy.quota import LocalQuota, RedisQuota, reserve_quota
from stream_features.catalogue.features import DAY
from stream_features.vector import SIZE

LIMITS = Limits(reviews_per_day=3, declined_share_of_day=0.2)
POLICY = Policy(
    "p-1",
    {"champion": ByThresholds(Thresholds(0.1, 0.2, 0.3)), "fallback": ByThresholds()},
    LIMITS,
    Exploration(),
    (),
)
STEP_UP, REVIEW, DECLINE = 0.15, 0.25, 0.9


def assessment(n, score, day=0):
    tx = Transaction(tx_id=f"t{n}", ts=day * DAY, card_id="c", amount_cents=10_000)
    return tx, POLICY.assess(tx, np.zeros(SIZE, np.float32), score, score, "champion", None, None)


async def decide(quota, scored):
    """Actions of (n, score, day) in turn, one batch each."""
    actions = []
    for n, score, day in scored:
        tx, formed = assessment(n, score, day)
        quota.count_decided(day, 1)
        await reserve_quota(POLICY, [(tx, formed)], lambda *which: quota.reserve(LIMITS, *which))
        choice = POLICY.choose(tx, formed)
        actions.append((choice.action, *choice.held_back))
    return actions


def test_reviews_end_with_the_capacity_of_their_day():
    scored = [(n, REVIEW, 0) for n in range(5)] + [(9, REVIEW, 1)]
    refused = ("step_up", "reviews_per_day")
    found = asyncio.run(decide(LocalQuota(), scored))
    assert found == [("review",)] * 3 + [refused] * 2 + [("review",)]


def test_who_asks_again_keeps_the_place():
    scored = [(n, REVIEW, 0) for n in (0, 1, 2, 3, 0, 1)]
    found = [action for action, *_ in asyncio.run(decide(LocalQuota(), scored))]
    assert found == ["review", "review", "review", "step_up", "review", "review"]


def test_declines_never_exceed_their_share_of_the_day_so_far():
    rng = random.Random(4)
    scored = [(n, rng.choice([STEP_UP, STEP_UP, DECLINE]), n // 100) for n in range(300)]
    actions = asyncio.run(decide(LocalQuota(), scored))
    for day in range(3):
        declined = 0
        for decided, (action, *_) in enumerate(actions[100 * day : 100 * day + 100], 1):
            declined += action == "decline"
            assert declined <= 0.2 * decided
        assert declined > 15
    # Those that may not be declined ask for a review, and those that get none are challenged.
    assert ("review", "declined_share_of_day") in actions
    assert ("step_up", "declined_share_of_day", "reviews_per_day") in actions


def test_where_places_cannot_be_told_there_is_none():
    async def nobody(limit, day, tx_ids):
        return None

    tx, formed = assessment(1, DECLINE)
    asyncio.run(reserve_quota(POLICY, [(tx, formed)], nobody))
    choice = POLICY.choose(tx, formed)
    assert (choice.action, choice.held_back) == ("step_up", ["limits_away", "limits_away"])


@pytest.mark.stack
def test_redis_gives_the_places_that_memory_does_and_two_scorers_share_them(stack):
    rng = random.Random(5)
    scored = [
        (rng.randrange(80), rng.choice([STEP_UP, REVIEW, DECLINE, DECLINE]), n // 100) for n in range(200)
    ]

    async def scene():
        connections = [Redis.from_url(stack.redis_url.removesuffix("/0") + "/6") for _ in range(2)]
        await connections[0].flushdb()
        alone = await decide(RedisQuota(connections[0], "log-a"), scored)
        two = [RedisQuota(connection, "log-b") for connection in connections]
        given = [await two[n % 2].reserve(LIMITS, "review", 0, [f"t{n}"]) for n in range(5)]
        again = [await two[n % 2].reserve(LIMITS, "review", 0, [f"t{4 - n}"]) for n in range(5)]
        expiring = [await connections[0].ttl(key) > 0 for key in await connections[0].keys("limits:*")]
        for connection in connections:
            await connection.flushdb()
            await connection.aclose()
        return alone, given, again, expiring

    alone, given, again, expiring = asyncio.run(scene())
    assert alone == asyncio.run(decide(LocalQuota(), scored))
    assert given == [[True], [True], [True], [False], [False]]
    assert again == given[::-1]
    assert all(expiring)
    assert len(expiring) >= 4
