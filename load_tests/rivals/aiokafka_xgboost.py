"""A plain aiokafka loop: per poll, our feature read, XGBoost's inplace_predict, one score per record."""

from pathlib import Path

import numpy as np
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from fraudsim.log.events import decode_transaction, encoder
from fraudsim.log.topics import TRANSACTIONS
from load_tests.rivals.scoring_setup import SCORES, RivalSetup, open_reader, read_setup
from model.forest.forest import booster_of
from stream_features.store.connection import RedisClient

MAX_BATCH = 256


async def run(setup: RivalSetup) -> None:
    """Score until the process is stopped."""
    booster = booster_of(Path(setup.xgboost_model).read_bytes())
    reader = open_reader(RedisClient.with_long_timeouts(setup.redis_url), setup.segment)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=setup.kafka_bootstrap, enable_auto_commit=False, auto_offset_reset="latest"
    )
    producer = AIOKafkaProducer(bootstrap_servers=setup.kafka_bootstrap, acks="all", enable_idempotence=True)
    await consumer.start()
    await producer.start()
    consumer.assign([TopicPartition(TRANSACTIONS, partition) for partition in range(setup.partitions)])
    while True:
        polled = await consumer.getmany(timeout_ms=200, max_records=MAX_BATCH)
        records = [record for partition_records in polled.values() for record in partition_records]
        if not records:
            continue
        transactions = [decode_transaction(record.value) for record in records]
        readings = await reader.read(transactions)
        scores = booster.inplace_predict(np.stack([reading.features for reading in readings]))
        for record, tx, score in zip(records, transactions, scores.tolist(), strict=True):
            value = encoder.encode({"tx_id": tx.tx_id, "score": score})
            await producer.send(SCORES, value, record.key, partition=record.partition)


if __name__ == "__main__":
    uvloop.run(run(read_setup()))
