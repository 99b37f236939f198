"""What comes while others are answered is answered together, next.

A call has a price of its own, whatever it is asked: the busier the process, the more share it. Who comes
alone waits for nobody.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


class MicroBatcher(Generic[Q, A]):
    """Puts questions that many ask singly to `answer`, some at once."""

    def __init__(self, answer: Callable[[Sequence[Q]], Awaitable[Sequence[A]]], most: int) -> None:
        """`answer` has at most so many questions, and as many answers, in order."""
        self._answer = answer
        self._most = most
        self._waiting: deque[tuple[Q, asyncio.Future[A]]] = deque()
        self._answering: asyncio.Task[None] | None = None

    async def ask(self, question: Q) -> A:
        """Its answer. Raises as `answer` does, where that raises for this question alone."""
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if self._answering is None:
            self._answering = asyncio.create_task(self._answer_all())  # begins when all that has come is read
        return await answer

    async def _answer_all(self) -> None:
        try:
            while self._waiting:
                await self._settle(
                    [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
                )
                await asyncio.sleep(0)  # these go out before the next are begun
        finally:
            self._answering = None

    async def _settle(self, asked: Sequence[tuple[Q, "asyncio.Future[A]"]]) -> None:
        try:
            answers = await self._answer([question for question, _ in asked])
        except Exception as error:
            if len(asked) == 1:
                ((_, future),) = asked
                if not future.done():
                    future.set_exception(error)
                return
            for one in asked:  # who failed fails alone
                await self._settle([one])
            return
        for (_, future), answer in zip(asked, answers, strict=True):
            if not future.done():  # else whoever asked has gone
                future.set_result(answer)
