"""Closing a consumer of aiokafka, also one whose Kafka is away."""

import asyncio
from typing import Any


async def close_consumer(consumer: Any) -> None:
    """Stop an aiokafka consumer and close its connections.

    aiokafka cancels the fetches that are under way and awaits them, so that their `CancelledError` comes out
    of `stop`, which then has not closed the connections. To whoever closes it would look like a request to
    end; it is passed on only if there is one.
    """
    try:
        await consumer.stop()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        await consumer._client.close()
