"""A dependency: time limits, its breaker, and what counts as a failure."""

import asyncio
import contextlib
import time

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from fraudsim import metrics
from scorer.resilience.dependency import MAX_ABANDONED, AwayError, Dependency
from stream_features.online.reader import NotPrimedError


def fails(error):
    async def work():
        raise error

    return work


async def answers():
    return 7


async def never():
    await asyncio.Event().wait()


def reason_of(dependency, work, seconds=1.0):
    async def scene():
        with pytest.raises(AwayError) as error:
            await dependency.call(work, time.monotonic() + seconds)
        return error.value.reason

    return asyncio.run(scene())


@pytest.mark.parametrize(
    ("work", "seconds", "reason"),
    [
        (fails(RedisConnectionError("refused")), 1, "gone"),
        (fails(ConnectionResetError()), 1, "gone"),
        (fails(RedisTimeoutError("read")), 1, "slow"),
        (fails(NotPrimedError("slot 0")), 1, "not_primed"),
        (never, 0.03, "slow"),
    ],
)
def test_each_way_of_being_away_has_its_reason(work, seconds, reason):
    assert reason_of(Dependency("test"), work, seconds) == reason


def test_what_is_not_its_fault_goes_through_and_opens_nothing():
    async def scene():
        dependency = Dependency("test")
        with pytest.raises(ZeroDivisionError):
            await dependency.call(fails(ZeroDivisionError()), time.monotonic() + 1)
        assert dependency.away is None
        assert await dependency.call(answers, time.monotonic() + 1) == 7

    asyncio.run(scene())


def test_an_answer_that_came_while_this_process_was_held_up_counts():
    async def scene():
        arrived = asyncio.get_running_loop().create_future()

        async def work():
            return await arrived

        asking = asyncio.ensure_future(Dependency("test").call(work, time.monotonic() + 0.02))
        await asyncio.sleep(0)
        arrived.set_result(7)
        time.sleep(0.05)  # noqa: ASYNC251 — the answer is there, the loop was not
        assert await asking == 7

    asyncio.run(scene())


def test_once_open_nobody_waits_and_a_probe_finds_it_back():
    now = [0.0]
    asked = []

    async def work():
        asked.append(now[0])
        if now[0] < 5:
            raise RedisConnectionError("gone")

    async def scene():
        dependency = Dependency("test", lambda: now[0])
        while dependency.away is None:
            with pytest.raises(AwayError):
                await dependency.call(work, now[0] + 1)
            now[0] += 0.05
        assert now[0] < 0.5
        before = len(asked)
        for _ in range(100):
            with pytest.raises(AwayError):
                await dependency.call(work, now[0] + 1)
        assert len(asked) == before
        gauge = metrics.BREAKER.labels("test")._value
        assert gauge.get() == 2
        while dependency.away is not None:
            now[0] += 0.1
            with contextlib.suppress(AwayError):
                await dependency.probe(work)
        assert 5 <= now[0] < 5.5
        assert len(asked) - before < 5 / 0.25 + 2
        assert gauge.get() == 0
        await dependency.call(work, now[0] + 1)

    asyncio.run(scene())


def test_a_state_that_is_not_primed_is_not_asked_again_before_a_probe_finds_it_primed():
    async def scene():
        dependency = Dependency("test")
        with pytest.raises(AwayError):
            await dependency.call(fails(NotPrimedError("slot 0")), time.monotonic() + 1)
        assert dependency.away == "not_primed"
        await asyncio.sleep(0.26)
        await dependency.probe(answers)
        assert dependency.away is None

    asyncio.run(scene())


def test_a_process_that_was_held_up_itself_does_not_blame_redis():
    async def scene():
        dependency = Dependency("test")
        for _ in range(5):
            asking = asyncio.ensure_future(dependency.call(never, time.monotonic() + 0.02))
            await asyncio.sleep(0)
            time.sleep(0.06)  # noqa: ASYNC251
            with pytest.raises(AwayError, match="no_time"):
                await asking
        assert dependency.away is None

    asyncio.run(scene())


def test_who_has_no_time_left_asks_nothing_and_blames_nobody():
    dependency = Dependency("test")
    for _ in range(5):
        assert reason_of(dependency, answers, -1.0) == "no_time"
        assert reason_of(dependency, never, 0.005) == "no_time"
        time.sleep(0.05)
    assert dependency.away is None


def test_what_took_too_long_goes_on_in_bounded_number():
    async def scene():
        dependency, answered, started, ended = Dependency("test"), asyncio.Event(), [], []

        async def work():
            started.append(True)
            await answered.wait()
            ended.append(True)

        async def ask():
            with pytest.raises(AwayError):
                await dependency.call(work, time.monotonic() + 0.005)

        for _ in range(3):
            await asyncio.gather(*(ask() for _ in range(MAX_ABANDONED)))
        assert len(started) == MAX_ABANDONED
        answered.set()
        await asyncio.sleep(0.01)
        assert len(ended) == MAX_ABANDONED
        assert await dependency.call(answers, time.monotonic() + 1) == 7

    asyncio.run(scene())
