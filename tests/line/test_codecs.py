"""Batches in every codec that Kafka knows, by two clients: every reader of the product reads them."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace

import msgspec
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from redis import Redis
from structlog import get_logger

from dashboards.watch import run_watch
from fraudsim.archive.log_files import read_log
from fraudsim.log import headers as h
from fraudsim.log.clock_log import next_segment, open_clock
from fraudsim.log.consumer import existing_partitions, log_ranges
from fraudsim.log.events import Label, Transaction, encoder
from fraudsim.log.topics import CLOCK, DECISIONS, LABELS, TRANSACTIONS
from fraudsim.polling import poll_until
from producers.label_feed.log_reader import FeedLogReader
from producers.sender.log_ends import find_logged_ordinals
from producers.traffic.decision_reader import DecisionReader
from runner.record.archiver import run_archiver
from scorer.stream.resumption import find_decided
from stream_features.store.keys import watermark_key
from stream_features.store.watermark import decode_watermark
from testing.rigs.live_scorer import decisions_in_log, live_scorer
from testing.samples.small_models import make_models

pytestmark = pytest.mark.stack

CODECS = ("gzip", "snappy", "lz4", "zstd")
EACH = 5
"""Records of one codec and client: one batch a partition."""


CLIENTS = ("confluent", "aiokafka")
WAYS = [(client, codec) for client in CLIENTS for codec in CODECS]
COUNT = len(WAYS) * EACH


def append_events(settings, clock):
    """Transactions and labels, a batch in each way."""
    now_ms, number = clock.now_ms(time.time() * 1000), 0
    for client, codec in WAYS:
        records = []
        for _ in range(EACH):
            name = f"{client}-{codec}-{number}"
            fields = {"tx_id": name, "card_id": name, "ts": now_ms, "amount_cents": 100}
            tx = Transaction(**fields, merchant_id="m" * 64)
            label = Label(**fields, is_fraud=True, source="customer", known_at=now_ms)
            headers = [(h.SEGMENT, b"2"), (h.SOURCE, b"test"), (h.ORDINAL, h.encode_int(number))]
            records.append((TRANSACTIONS, name.encode(), encoder.encode(tx), headers))
            records.append((LABELS, name.encode(), encoder.encode(label), headers))
            number += 1
        append(settings, client, codec, records)


def append_segments(settings):
    """A segment in each way; they start the same time over and over."""
    clock = open_clock(settings).clock
    for client, codec in WAYS:
        wall_ms = int(time.time() * 1000)
        segment = next_segment(clock, 1.0, clock.now_ms(wall_ms), wall_ms)
        append(settings, client, codec, [(CLOCK, b"", encoder.encode(segment), [])])
        clock = open_clock(settings).clock
    return clock


def append_again(settings, decision):
    """A decision in each way: `decisions` holds it then nine times."""
    for client, codec in WAYS:
        record = (DECISIONS, decision.card_id.encode(), encoder.encode(decision), [])
        append(settings, client, codec, [record])


def append(settings, client, codec, records):
    if client == "confluent":
        append_by_librdkafka(settings.kafka_bootstrap, codec, records)
    else:
        asyncio.run(append_by_aiokafka(settings.kafka_bootstrap, codec, records))


def append_by_librdkafka(bootstrap, codec, records):
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": bootstrap, "compression.type": codec, "linger.ms": 50})
    for topic, key, value, headers in records:
        producer.produce(topic, value, key, headers=headers)
    assert producer.flush(20) == 0


async def append_by_aiokafka(bootstrap, codec, records):
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap, compression_type=codec, linger_ms=50
    ) as producer:
        acks = [await producer.send(t, value, key=key, headers=headers) for t, key, value, headers in records]
        await asyncio.gather(*acks)


@contextmanager
def worker(settings, folder):
    env = {
        **os.environ,
        "FRAUDSIM_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "FRAUDSIM_REDIS_URL": settings.redis_url,
        "FRAUDSIM_METRICS_PORT": "0",
    }
    with (folder / "worker.log").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "fraudsim", "worker"], env=env, stdout=out, stderr=subprocess.STDOUT
        )
        try:
            yield
        finally:
            process.kill()
            process.wait()


def all_folded(settings):
    """Whether every slot has folded the whole log."""
    redis = Redis.from_url(settings.redis_url)
    stored = redis.mget([watermark_key(slot) for slot in range(settings.slots)])
    tps = [TopicPartition(topic, p) for topic in (TRANSACTIONS, LABELS) for p in range(settings.partitions)]
    ends = tuple(end - 1 for _, end in log_ranges(settings.kafka_bootstrap, tps).values())
    return all(decode_watermark(value).offsets == ends for value in stored)


async def read_by_the_label_feed(settings):
    partitions = existing_partitions(settings.kafka_bootstrap, [LABELS, DECISIONS])
    async with FeedLogReader.open(settings, partitions) as reader:
        labels, outcomes = await reader.read_labels(), []
        while not await reader.caught_up():
            outcomes += await reader.poll()
        return labels, outcomes, reader.clock


def check_other_readers(settings, decision, run):
    labels, outcomes, clock = asyncio.run(read_by_the_label_feed(settings))
    assert (len(labels), len(outcomes), len(clock.segments)) == (COUNT, COUNT + len(WAYS), 2 + len(WAYS))
    every = existing_partitions(settings.kafka_bootstrap, [TRANSACTIONS])
    assert len(find_logged_ordinals(settings, every, "test")[TRANSACTIONS]) == COUNT
    declines, verdicts = [], []
    listener = SimpleNamespace(add_decision=declines.append, add_verdict=lambda *what: verdicts.append(what))
    with DecisionReader(settings, every[TRANSACTIONS], listener, threading.Event()):
        assert [payment.tx_id for payment in declines] == [decision.tx_id] * len(WAYS)
    decided = asyncio.run(find_decided(settings.kafka_bootstrap, every[TRANSACTIONS], get_logger()))
    assert sum(offsets.to + 1 for offsets in decided.values()) == COUNT
    stop = threading.Event()
    threading.Timer(3.0, stop.set).start()
    watched = run_watch(settings, stop, from_start=True, wait_s=0.1, reference=100)
    assert (watched["decisions"], watched["repeated"]) == (COUNT, len(WAYS))
    run_archiver(settings, run, stop, drain=True)
    for topic, count in ((TRANSACTIONS, COUNT), (LABELS, COUNT), (DECISIONS, COUNT + len(WAYS))):
        assert read_log(run, topic, ["error"])["error"].to_pylist() == [None] * count
    assert read_log(run, CLOCK).num_rows == 2 + len(WAYS)


def test_every_reader_reads_every_codec(tmp_path):
    (model,) = make_models(tmp_path, 1, trees=5)
    with live_scorer(tmp_path, model_dir=model) as settings:
        clock = append_segments(settings)
        assert len(clock.segments) == 2 + len(WAYS)
        append_events(settings, clock)
        decisions = decisions_in_log(settings, COUNT)
        assert len({decision.tx_id for decision in decisions}) == COUNT
        with worker(settings, tmp_path):
            assert poll_until(lambda: all_folded(settings), 60), (tmp_path / "worker.log").read_text()
        declined = msgspec.structs.replace(decisions[0], action="decline")
        append_again(settings, declined)
        check_other_readers(settings, declined, tmp_path / "run")
