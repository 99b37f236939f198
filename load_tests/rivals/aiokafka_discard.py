"""aiokafka, consume and discard: what reading alone takes, decoding left out."""

import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition

from load_tests.rivals.stopwatch import Stopwatch, arguments


async def main() -> None:
    given, watch, events = arguments(), Stopwatch(), 0
    consumer = AIOKafkaConsumer(
        bootstrap_servers=given["kafka"], auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    consumer.assign([TopicPartition("transactions", p) for p in range(given["partitions"])])
    of_card = dict.fromkeys(map(str.encode, given["cards"]), 0)
    while events < given["events"]:
        for records in (await consumer.getmany(timeout_ms=500)).values():
            watch.start()
            events += len(records)
            for record in records:
                if record.key in of_card:
                    of_card[record.key] += 1
    watch.stop()
    await consumer.stop()
    watch.report(given["out"], events, {"records": {card.decode(): n for card, n in of_card.items()}})


uvloop.run(main())
