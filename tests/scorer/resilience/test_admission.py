"""Admission: bounded permits, a bounded queue in order, a bounded wait, and no permit is lost."""

import asyncio
import random
import time

from scorer.resilience.admission import QUEUE_PER_PERMIT, Admission


def test_the_queue_is_in_order_and_those_that_wait_too_long_are_shed():
    async def scene():
        admission = Admission(2, 0.05)
        assert await admission.acquire()
        assert await admission.acquire()
        waiting = [asyncio.ensure_future(admission.acquire()) for _ in range(4)]
        await asyncio.sleep(0)
        admission.release()
        await asyncio.sleep(0.005)
        assert [one.done() for one in waiting] == [True, False, False, False]
        assert await asyncio.gather(*waiting) == [True, False, False, False]

    asyncio.run(scene())


def test_the_queue_is_bounded():
    async def scene():
        admission = Admission(1, 0.05)
        assert await admission.acquire()
        waiting = [asyncio.ensure_future(admission.acquire()) for _ in range(QUEUE_PER_PERMIT)]
        await asyncio.sleep(0)
        assert not await admission.acquire()
        admission.release()
        assert (await asyncio.gather(*waiting)).count(True) == 1

    asyncio.run(scene())


def test_while_the_event_loop_is_late_requests_are_shed_only_where_many_permits_are_in_use():
    async def scene():
        admission = Admission(8, 0.02)
        watching = asyncio.ensure_future(admission.watch())
        await asyncio.sleep(0.05)
        assert await admission.acquire()
        time.sleep(0.1)  # noqa: ASYNC251
        await asyncio.sleep(0.001)
        assert await admission.acquire()
        assert not await admission.acquire()
        await asyncio.sleep(0.1)
        assert await admission.acquire()
        watching.cancel()

    asyncio.run(scene())


def test_no_permit_is_lost_or_made_whatever_is_cancelled():
    async def scene():
        rng = random.Random(1)
        admission, inside, most = Admission(3, 0.003), 0, 0

        async def visit():
            nonlocal inside, most
            if not await admission.acquire():
                return
            inside += 1
            most = max(most, inside)
            try:
                await asyncio.sleep(rng.random() * 0.002)
            finally:
                inside -= 1
                admission.release()

        for _ in range(60):
            visits = [asyncio.ensure_future(visit()) for _ in range(8)]
            await asyncio.sleep(rng.random() * 0.002)
            rng.choice(visits).cancel()
            await asyncio.gather(*visits, return_exceptions=True)
        assert (inside, most) == (0, 3)
        assert [await admission.acquire() for _ in range(3)] == [True] * 3
        assert not await admission.acquire()

    asyncio.run(scene())
