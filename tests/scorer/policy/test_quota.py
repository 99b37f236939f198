"""Daily quotas: never exceeded, kept by a tx_id that asks again, equal in memory and in Redis."""

import asyncio
import random

import numpy as np
import pytest
from redis.asyncio import Redis

from fraudsim.log.events import Transaction
from model.artefact.thresholds import Thresholds
from scorer.policy.policy import ByThresholds, Exploration, Limits, Policy
from scorer.policy.quota import LocalQuota, RedisQuota, reserve_quota
from scorer.policy.rules import RuleInput
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
    return tx, POLICY.assess(RuleInput(tx, np.zeros(SIZE, np.float32), score, score), "champion", None, None)


async def decide(quota, scored):
    """Actions of (n, score, day) in turn, one batch each."""
    actions = []
    for n, score, day in scored:
        tx, assessed = assessment(n, score, day)
        quota.count_decided(day, 1)
        await reserve_quota(POLICY, [(tx, assessed)], lambda *which: quota.reserve(LIMITS, *which))
        choice = POLICY.choose(tx, assessed)
        actions.append((choice.action, *choice.held_back))
    return actions


def test_reviews_end_with_the_capacity_of_their_day():
    scored = [(n, REVIEW, 0) for n in range(5)] + [(9, REVIEW, 1)]
    refused = ("step_up", "reviews_per_day")
    actions = asyncio.run(decide(LocalQuota(), scored))
    assert actions == [("review",)] * 3 + [refused] * 2 + [("review",)]


def test_a_tx_id_keeps_its_reservation():
    scored = [(n, REVIEW, 0) for n in (0, 1, 2, 3, 0, 1)]
    actions = [action for action, *_ in asyncio.run(decide(LocalQuota(), scored))]
    assert actions == ["review", "review", "review", "step_up", "review", "review"]


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


def test_where_the_quota_is_unknown_it_counts_as_used_up():
    async def nobody(limit, day, tx_ids):
        return None

    tx, assessed = assessment(1, DECLINE)
    asyncio.run(reserve_quota(POLICY, [(tx, assessed)], nobody))
    choice = POLICY.choose(tx, assessed)
    assert (choice.action, choice.held_back) == ("step_up", ["limits_away", "limits_away"])


@pytest.mark.stack
def test_redis_reserves_as_memory_does_and_two_scorers_share_the_quota(stack):
    rng = random.Random(5)
    scored = [
        (rng.randrange(80), rng.choice([STEP_UP, REVIEW, DECLINE, DECLINE]), n // 100) for n in range(200)
    ]

    async def scene():
        connections = [Redis.from_url(stack.redis_url.removesuffix("/0") + "/6") for _ in range(2)]
        await connections[0].flushdb()
        alone = await decide(RedisQuota(connections[0], "log-a"), scored)
        quotas = [RedisQuota(connection, "log-b") for connection in connections]
        reserved = [await quotas[n % 2].reserve(LIMITS, "review", 0, [f"t{n}"]) for n in range(5)]
        reserved_again = [await quotas[n % 2].reserve(LIMITS, "review", 0, [f"t{4 - n}"]) for n in range(5)]
        expiring = [await connections[0].ttl(key) > 0 for key in await connections[0].keys("limits:*")]
        for connection in connections:
            await connection.flushdb()
            await connection.aclose()
        return alone, reserved, reserved_again, expiring

    alone, reserved, reserved_again, expiring = asyncio.run(scene())
    assert alone == asyncio.run(decide(LocalQuota(), scored))
    assert reserved == [[True], [True], [True], [False], [False]]
    assert reserved_again == reserved[::-1]
    assert all(expiring)
    assert len(expiring) >= 4
