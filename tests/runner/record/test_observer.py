"""The observer's record of a run: percentiles within 1 %, in memory that does not grow with its length."""

import asyncio

import msgspec
import numpy as np
import pytest
from aiokafka import AIOKafkaProducer
from hypothesis import given
from hypothesis import strategies as st

from fraudsim.log.topics import DECISIONS, create_topics
from fraudsim.polling import poll_until
from fraudsim.settings import Settings
from runner.record.latencies import RECENT, Latencies, percentiles
from runner.record.observer import ObservedDecision, Observer


def counted(values_ms):
    latencies = Latencies()
    for value in values_ms:
        latencies.add(value)
    return latencies


@given(st.lists(st.integers(0, 10**8), min_size=1, max_size=300))
def test_percentiles_are_within_one_percent_of_those_of_every_value(latencies_us):
    values_ms = [us / 1000 for us in latencies_us]
    approximate, exact = counted(values_ms).percentiles(), percentiles(values_ms)
    assert approximate.keys() == exact.keys()
    for name, value in exact.items():
        assert approximate[name] == pytest.approx(value, rel=0.01, abs=0.0015), name  # told to the µs
    assert approximate["max"] == exact["max"]


def test_a_long_run_takes_no_more_memory_than_a_short_one():
    latencies = counted(np.random.default_rng(1).lognormal(3, 2, 200_000).tolist())
    assert len(latencies.recent_ms) == RECENT
    buckets = latencies._histogram.counts_len
    for _ in range(3):
        for value in np.random.default_rng(1).lognormal(3, 2, 50_000).tolist():
            latencies.add(value)
    assert latencies._histogram.counts_len == buckets < 30_000
    assert len(latencies.recent_ms) == RECENT


def test_without_a_latency_there_are_no_percentiles():
    assert Latencies().percentiles() == percentiles([])


def test_the_recent_ones_are_kept_as_they_came():
    assert list(counted([3.14159, 2.71828]).recent_ms) == [3.14159, 2.71828]


def observed(*decisions):
    observer = Observer(Settings(_env_file=None), "decisions")
    for fields in decisions:
        observer._count(msgspec.convert({"tx_id": "t", **fields}, ObservedDecision), 5_000)
    return observer.tally


def test_a_decision_by_http_is_counted_but_not_as_one_of_the_stream():
    tally = observed(
        {"action": "approve", "via": "stream", "stamps": {"intended": 2_000}},
        {"action": "approve", "via": "http", "stamps": {"intended": 1_000}},
        {"sent_at": 4_000},
    )
    assert (tally.decisions, tally.stream_decisions) == (3, 2)
    assert tally.actions == {"approve": 2, "": 1}
    assert list(tally.latencies.recent_ms) == [3.0, 4.0, 1.0]


@pytest.mark.stack
def test_what_is_no_decision_is_passed_over(stack):
    settings = Settings(_env_file=None, kafka_bootstrap=stack.kafka_bootstrap)
    create_topics(settings, "observed.")
    values = [b'{"tx_id": "t1"}', None, b"", b"not json", b"{}", b'{"tx_id": "t2"}']

    async def send():
        async with AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap) as producer:
            for value in values:
                await producer.send_and_wait("observed." + DECISIONS, value, key=b"k", partition=0)

    asyncio.run(send())
    with Observer(settings, "observed." + DECISIONS) as observer:
        assert poll_until(lambda: observer.tally.decisions == 2, 20)
    assert observer.tally.unreadable == 4
