"""kafka-python and a Redis sorted set per key: each entity's transactions by time, one pipeline a poll.

A member holds all that the windows of an entity need, so that a read can compute any of them.
"""

from itertools import islice

import msgspec
from kafka import KafkaConsumer, TopicPartition
from redis import Redis

from fraudsim.log.events import Transaction
from load_tests.benches.features.sorted_sets import key_of, member_of
from load_tests.rivals.stopwatch import Stopwatch, arguments
from stream_features.catalogue.features import KEY_FIELD, LONGEST


def main() -> None:
    options, watch, events = arguments(), Stopwatch(), 0
    decode = msgspec.json.Decoder(Transaction).decode
    redis = Redis.from_url(options["redis"])
    consumer = KafkaConsumer(
        bootstrap_servers=options["kafka"],
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_poll_records=500,
    )
    consumer.assign([TopicPartition("transactions", p) for p in range(options["partitions"])])
    records = dict.fromkeys(options["cards"], 0)
    while events < options["events"]:
        polled = consumer.poll(timeout_ms=500)
        if not polled:
            continue
        watch.start()
        pipe = redis.pipeline(transaction=False)
        batch = (record for partition_records in polled.values() for record in partition_records)
        for record in islice(batch, options["events"] - events):
            tx = decode(record.value)
            member = member_of(tx)
            for field in KEY_FIELD.values():
                value = getattr(tx, field)
                if value is not None:
                    key = key_of(field, value)
                    pipe.zadd(key, {member: tx.ts})
                    pipe.zremrangebyscore(key, "-inf", tx.ts - LONGEST)
                    pipe.pexpire(key, LONGEST)
            events += 1
            if tx.card_id in records:
                records[tx.card_id] += 1
        pipe.execute()
    watch.stop()
    watch.report(options["out"], events, {"records": records})


main()
