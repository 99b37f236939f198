"""The log feed against a real Kafka: one that goes away, and one that comes back with another run's log."""

import asyncio
import time

import pytest
from kafka import KafkaProducer

from dashboards.page import log_feed
from dashboards.page.log_feed import LogFeed
from fraudsim.log import topics
from fraudsim.log.clock_log import start_log
from fraudsim.settings import Settings
from runner.stack.ports import free_port
from runner.stack.stack import stack
from tests.dashboards.page.served_page import decision, transaction

pytestmark = [pytest.mark.stack, pytest.mark.long]
LONG_S = 90.0


async def until(condition):
    deadline = time.monotonic() + LONG_S
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


def begin_run(settings, count):
    """A run's topics and clock, and so many decided transactions."""
    topics.create_topics(settings)
    start_log(settings, 1_000_000, 1.0, "", "")
    producer = KafkaProducer(bootstrap_servers=settings.kafka_bootstrap)
    for offset in range(count):
        for topic, record in (transaction(offset), decision(offset)):
            producer.send(topic, record.value, partition=0)
    producer.send(topics.DECISIONS, b"\xff", partition=1)
    producer.flush()
    producer.close()


async def follow(tmp_path, settings):
    feed = LogFeed(settings, with_truth=True)
    following = asyncio.create_task(feed.follow())
    await until(lambda: "FRAUDSIM_KAFKA_BOOTSTRAP" in feed.problem)
    assert feed.state is None, "there is no Kafka yet"
    with stack(tmp_path / "first", settings):
        await until(lambda: "transactions" in feed.problem)
        await asyncio.to_thread(begin_run, settings, 7)
        await until(lambda: feed.state is not None and feed.state.decided == 7)
        assert (feed.problem, feed.note, feed.state.unreadable) == ("", "", 1)
        first = feed.state
    await until(lambda: "stands still" in feed.problem or "FRAUDSIM_KAFKA_BOOTSTRAP" in feed.problem)
    assert feed.state is first
    assert feed.state.decided == 7, "the numbers stand"
    with stack(tmp_path / "second", settings):
        await asyncio.to_thread(begin_run, settings, 3)
        await until(lambda: feed.state is not first and feed.state.decided == 3)
        assert "another log" in feed.note
        await until(lambda: feed.problem == "")
    assert not following.done()
    following.cancel()


def test_kafka_that_comes_late_goes_away_and_comes_back_with_another_run(tmp_path, monkeypatch):
    monkeypatch.setattr(log_feed, "ANSWER_S", 1.0)
    monkeypatch.setattr(log_feed, "ASK_ENDS_S", 0.5)
    port = free_port()
    settings = Settings(_env_file=None, kafka_port=port, kafka_bootstrap=f"127.0.0.1:{port}")
    asyncio.run(follow(tmp_path, settings))
