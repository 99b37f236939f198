"""The null pipeline's relay: copies records between two topics and does nothing else.

Its process imports little, so that it runs as soon as the producer does.
"""

import asyncio
import contextlib
import signal

from aiokafka import AIOKafkaProducer, TopicPartition

from fraudsim.log.consumer import TopicReader, existing_partitions, open_reader
from fraudsim.log.topics import DECISIONS, NULL, TRANSACTIONS
from fraudsim.settings import Settings


def run_relay(settings: Settings) -> None:
    """Copy every record of `null.transactions` to `null.decisions` unchanged, until SIGINT or SIGTERM.

    Raises:
        FraudsimError: no broker can be reached, or a topic is missing.
    """
    import uvloop

    existing_partitions(settings.kafka_bootstrap, [NULL + TRANSACTIONS, NULL + DECISIONS])
    uvloop.run(_relay(settings))


async def _relay(settings: Settings) -> None:
    partitions = [TopicPartition(NULL + TRANSACTIONS, p) for p in range(settings.partitions)]
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap, acks="all", enable_idempotence=True
    )
    await producer.start()
    try:
        async with open_reader(settings.kafka_bootstrap, partitions, client_id="relay") as reader:
            await reader.seek_to_begins()
            copy_task = asyncio.create_task(_copy_records(reader, producer))
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, copy_task.cancel)
            with contextlib.suppress(asyncio.CancelledError):
                await copy_task
    finally:
        await producer.stop()


async def _copy_records(reader: TopicReader, producer: AIOKafkaProducer) -> None:
    while True:
        for tp, records in (await reader.poll(timeout_ms=500)).items():
            for record in records:
                await producer.send(
                    NULL + DECISIONS, value=record.value, key=record.key, partition=tp.partition
                )
