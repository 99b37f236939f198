"""Micro-batches: which items share a batch, their order, and which of them fail."""

import asyncio

import pytest

from scorer.resilience.micro_batch import MicroBatcher


class Answers:
    """Returns 10 times each item, once it may; keeps the batches."""

    def __init__(self):
        self.groups = []
        self.let = asyncio.Event()
        self.let.set()

    async def __call__(self, questions):
        self.groups.append(list(questions))
        await self.let.wait()
        if 13 in questions:
            raise ValueError("13")
        return [10 * question for question in questions]


async def in_time(*asking):
    return await asyncio.wait_for(asyncio.gather(*asking, return_exceptions=True), 10)


def test_what_comes_at_once_is_answered_at_once_and_each_gets_its_own():
    async def scene():
        answers = Answers()
        batcher = MicroBatcher(answers, 4)
        assert await in_time(*map(batcher.submit, range(10))) == [10 * n for n in range(10)]
        assert [n for group in answers.groups for n in group] == [*range(10)]
        assert max(map(len, answers.groups)) == 4

    asyncio.run(scene())


def test_who_comes_alone_is_asked_at_once():
    async def scene():
        answers = Answers()
        batcher = MicroBatcher(answers, 4)
        for n in range(3):
            assert await in_time(batcher.submit(n)) == [10 * n]
        assert answers.groups == [[0], [1], [2]]

    asyncio.run(scene())


def test_items_that_arrive_during_a_batch_form_the_next_one():
    async def scene():
        answers = Answers()
        batcher = MicroBatcher(answers, 8)
        answers.let.clear()
        asking = []
        for n in range(7):
            asking.append(asyncio.create_task(batcher.submit(n)))
            for _ in range(3):
                await asyncio.sleep(0)
        answers.let.set()
        assert await in_time(*asking) == [10 * n for n in range(7)]
        assert answers.groups == [[0], [1, 2, 3, 4, 5, 6]]

    asyncio.run(scene())


def test_who_fails_fails_alone_and_the_next_are_answered():
    async def scene():
        batcher = MicroBatcher(Answers(), 8)
        first, bad, last = await in_time(*map(batcher.submit, (12, 13, 14)))
        assert (first, last) == (120, 140)
        with pytest.raises(ValueError, match="13"):
            raise bad
        assert await in_time(batcher.submit(1)) == [10]

    asyncio.run(scene())


def test_who_gives_up_holds_up_nobody():
    async def scene():
        answers = Answers()
        batcher = MicroBatcher(answers, 8)
        answers.let.clear()
        asking = [asyncio.create_task(batcher.submit(n)) for n in range(3)]
        await asyncio.sleep(0.01)
        asking[1].cancel()
        answers.let.set()
        assert [await asking[0], await asking[2]] == [0, 20]
        assert await in_time(batcher.submit(4)) == [40]

    asyncio.run(scene())
