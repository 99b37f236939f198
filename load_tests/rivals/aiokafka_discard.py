"""aiokafka, consume and discard: the cost of reading alone, without decoding."""

import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition

from load_tests.rivals.stopwatch import Stopwatch, arguments


async def main() -> None:
    options, watch, events = arguments(), Stopwatch(), 0
    consumer = AIOKafkaConsumer(
        bootstrap_servers=options["kafka"], auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    consumer.assign([TopicPartition("transactions", p) for p in range(options["partitions"])])
    card_counts = dict.fromkeys(map(str.encode, options["cards"]), 0)
    while events < options["events"]:
        for records in (await consumer.getmany(timeout_ms=500)).values():
            watch.start()
            events += len(records)
            for record in records:
                if record.key in card_counts:
                    card_counts[record.key] += 1
    watch.stop()
    await consumer.stop()
    watch.report(options["out"], events, {"records": {card.decode(): n for card, n in card_counts.items()}})


uvloop.run(main())
