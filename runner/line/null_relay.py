"""The null pipeline's relay: copies records between two topics and does nothing else.

Its process imports little, so that it runs as soon as the producer does.
"""

import asyncio
import signal

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from fraudsim.log.topics import DECISIONS, NULL, TRANSACTIONS
from fraudsim.settings import Settings


def run_relay(settings: Settings) -> None:
    """Copy every record of `null.transactions` to `null.decisions` unchanged, until SIGINT or SIGTERM."""
    import uvloop

    uvloop.run(_relay(settings))


async def _relay(settings: Settings) -> None:
    consumer = AIOKafkaConsumer(
        NULL + TRANSACTIONS, bootstrap_servers=settings.kafka_bootstrap, auto_offset_reset="earliest"
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap, acks="all", enable_idempotence=True
    )
    await consumer.start()
    await producer.start()
    copy_task = asyncio.create_task(_copy_records(consumer, producer))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, copy_task.cancel)
    try:
        await copy_task
    except asyncio.CancelledError:
        return
    finally:
        await consumer.stop()
        await producer.stop()


async def _copy_records(consumer: AIOKafkaConsumer, producer: AIOKafkaProducer) -> None:
    while True:
        for tp, records in (await consumer.getmany(timeout_ms=500)).items():
            for record in records:
                await producer.send(
                    NULL + DECISIONS, value=record.value, key=record.key, partition=tp.partition
                )
