"""kafka-python and a Redis sorted set per key: every entity's transactions by time, pipelined by poll.

The member holds what all windows of an entity need, so that a read computes any of them.
"""

from itertools import islice

import msgspec
from kafka import KafkaConsumer, TopicPartition
from redis import Redis

from fraudsim.log.events import Transaction
from load_tests.benches.state.sorted_sets import key_of, member_of
from load_tests.rivals.stopwatch import Stopwatch, arguments
from stream_features.catalogue.features import KEY_FIELD, LONGEST


def main() -> None:
    given, watch, events = arguments(), Stopwatch(), 0
    decode = msgspec.json.Decoder(Transaction).decode
    redis = Redis.from_url(given["redis"])
    consumer = KafkaConsumer(
        bootstrap_servers=given["kafka"],
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_poll_records=500,
    )
    consumer.assign([TopicPartition("transactions", p) for p in range(given["partitions"])])
    records = dict.fromkeys(given["cards"], 0)
    while events < given["events"]:
        polled = consumer.poll(timeout_ms=500)
        if not polled:
            continue
        watch.start()
        pipe = redis.pipeline(transaction=False)
        batch = (record for of_partition in polled.values() for record in of_partition)
        for record in islice(batch, given["events"] - events):
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
    watch.report(given["out"], events, {"records": records})


main()
