"""The null pipeline: a bare relay between two topics, to show what Kafka and this machine alone cost."""

import asyncio
import signal

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from fraudsim.log.topics import DECISIONS, NULL, TRANSACTIONS
from fraudsim.settings import Settings


def run_relay(settings: Settings) -> None:
    """Hand every record of `null.transactions` on to `null.decisions` as it is, until a signal."""
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
    relaying = asyncio.create_task(_pump(consumer, producer))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, relaying.cancel)
    try:
        await relaying
    except asyncio.CancelledError:
        return
    finally:
        await consumer.stop()
        await producer.stop()


async def _pump(consumer: AIOKafkaConsumer, producer: AIOKafkaProducer) -> None:
    while True:
        for tp, records in (await consumer.getmany(timeout_ms=500)).items():
            for record in records:
                await producer.send(
                    NULL + DECISIONS, value=record.value, key=record.key, partition=tp.partition
                )
