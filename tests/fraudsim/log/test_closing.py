"""Closing a consumer whose Kafka does not answer its fetches."""

import asyncio
from types import SimpleNamespace

import pytest

from fraudsim.log.closing import close_consumer


class Consumer:
    """Stops as aiokafka's does: awaits what it has cancelled, and closes the connections last."""

    def __init__(self):
        self.closed = False
        self._client = SimpleNamespace(close=self.close)

    async def close(self):
        self.closed = True

    async def stop(self):
        fetch = asyncio.create_task(asyncio.sleep(60))
        await asyncio.sleep(0)
        fetch.cancel()
        await fetch
        await self.close()


def test_a_cancelled_fetch_ends_nobody_and_the_connections_are_closed():
    consumer = Consumer()
    asyncio.run(close_consumer(consumer))
    assert consumer.closed


def test_a_request_to_end_is_passed_on():
    async def cancelled_while_closing():
        consumer = SimpleNamespace(stop=lambda: asyncio.sleep(60))
        closing = asyncio.create_task(close_consumer(consumer))
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing

    asyncio.run(cancelled_while_closing())
