"""Micro-batches: items that arrive while a batch is being processed form the next batch.

Each call of `process` has a fixed cost whatever its size, so the busier the process, the larger the batches
over which the cost is spread. An item that arrives alone is processed at once.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class MicroBatcher(Generic[Item, Result]):
    """Collects items submitted one by one and passes them to `process` in batches, one batch at a time."""

    def __init__(
        self, process: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]], max_batch: int
    ) -> None:
        """`process` gets at most `max_batch` items and returns as many results, in order."""
        self._process = process
        self._max_batch = max_batch
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._worker: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> Result:
        """The result for one item. Raises what `process` raises for a batch of this item alone."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._worker is None:
            self._worker = asyncio.create_task(self._process_all())  # runs after all pending input is read
        return await future

    async def _process_all(self) -> None:
        try:
            while self._waiting:
                await self._process_batch(
                    [self._waiting.popleft() for _ in range(min(self._max_batch, len(self._waiting)))]
                )
                await asyncio.sleep(0)  # lets these results go out before the next batch
        finally:
            self._worker = None

    async def _process_batch(self, batch: Sequence[tuple[Item, "asyncio.Future[Result]"]]) -> None:
        try:
            results = await self._process([item for item, _ in batch])
        except Exception as error:
            if len(batch) == 1:
                ((_, future),) = batch
                if not future.done():
                    future.set_exception(error)
                return
            for entry in batch:  # one by one, so that the error reaches only the item that causes it
                await self._process_batch([entry])
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():  # cancelled, where the caller has gone
                future.set_result(result)
