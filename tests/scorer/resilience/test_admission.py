"""The door: bounded places, a bounded queue in order, nobody waits for long, no place is lost."""

import asyncio
import random
import time

from scorer.resilience.admission import QUEUE_PER_PLACE, Admission


def test_those_who_wait_come_in_order_and_those_who_wait_too_long_do_not():
    async def scene():
        door = Admission(2, 0.05)
        assert await door.enter()
        assert await door.enter()
        waiting = [asyncio.ensure_future(door.enter()) for _ in range(4)]
        await asyncio.sleep(0)
        door.leave()
        await asyncio.sleep(0.005)
        assert [one.done() for one in waiting] == [True, False, False, False]
        assert await asyncio.gather(*waiting) == [True, False, False, False]

    asyncio.run(scene())


def test_the_queue_is_bounded():
    async def scene():
        door = Admission(1, 0.05)
        assert await door.enter()
        waiting = [asyncio.ensure_future(door.enter()) for _ in range(QUEUE_PER_PLACE)]
        await asyncio.sleep(0)
        assert not await door.enter()
        door.leave()
        assert (await asyncio.gather(*waiting)).count(True) == 1

    asyncio.run(scene())


def test_while_the_event_loop_is_late_only_a_door_that_is_busy_turns_away():
    async def scene():
        door = Admission(8, 0.02)
        watching = asyncio.ensure_future(door.watch())
        await asyncio.sleep(0.05)
        assert await door.enter()
        time.sleep(0.1)  # noqa: ASYNC251
        await asyncio.sleep(0.001)
        assert await door.enter()
        assert not await door.enter()
        await asyncio.sleep(0.1)
        assert await door.enter()
        watching.cancel()

    asyncio.run(scene())


def test_no_place_is_lost_or_made_whatever_is_cancelled():
    async def scene():
        rng = random.Random(1)
        door, inside, most = Admission(3, 0.003), 0, 0

        async def visit():
            nonlocal inside, most
            if not await door.enter():
                return
            inside += 1
            most = max(most, inside)
            try:
                await asyncio.sleep(rng.random() * 0.002)
            finally:
                inside -= 1
                door.leave()

        for _ in range(60):
            visits = [asyncio.ensure_future(visit()) for _ in range(8)]
            await asyncio.sleep(rng.random() * 0.002)
            rng.choice(visits).cancel()
            await asyncio.gather(*visits, return_exceptions=True)
        assert (inside, most) == (0, 3)
        assert [await door.enter() for _ in range(3)] == [True] * 3
        assert not await door.enter()

    asyncio.run(scene())
