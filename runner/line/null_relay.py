"""The null pipeline's relay: copies records between two topics and does nothing else.

Its process imports little, so that it runs as soon as the producer does.
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable

from aiokafka import AIOKafkaProducer, TopicPartition

from fraudsim.log.consumer import TopicReader, existing_partitions, open_reader
from fraudsim.log.topics import DECISIONS, NULL, TRANSACTIONS
from fraudsim.settings import Settings


def run_relay(settings: Settings, prefix: str = NULL, on_ready: Callable[[], None] = lambda: None) -> None:
    """Copy every record of `null.transactions` to `null.decisions` unchanged, until SIGINT or SIGTERM.

    Args:
        prefix: of the topics, instead of `null.`.
        on_ready: called once it reads.

    Raises:
        FraudsimError: no broker can be reached, or a topic is missing.
    """
    import uvloop

    existing_partitions(settings.kafka_bootstrap, [prefix + TRANSACTIONS, prefix + DECISIONS])
    uvloop.run(_relay(settings, prefix, on_ready))


async def _relay(settings: Settings, prefix: str, on_ready: Callable[[], None]) -> None:
    partitions = [TopicPartition(prefix + TRANSACTIONS, p) for p in range(settings.partitions)]
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap, acks="all", enable_idempotence=True
    )
    await producer.start()
    try:
        async with open_reader(settings.kafka_bootstrap, partitions, client_id="relay") as reader:
            await reader.seek_to_begins()
            on_ready()
            copy_task = asyncio.create_task(_copy_records(reader, producer, prefix + DECISIONS))
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, copy_task.cancel)
            with contextlib.suppress(asyncio.CancelledError):
                await copy_task
    finally:
        await producer.stop()


async def _copy_records(reader: TopicReader, producer: AIOKafkaProducer, topic: str) -> None:
    while True:
        for tp, records in (await reader.poll(timeout_ms=500)).items():
            for record in records:
                await producer.send(topic, value=record.value, key=record.key, partition=tp.partition)
