"""Engines that want the slots of one log, on a real Kafka: who gets them, and what the other says."""

import asyncio
import threading
from concurrent.futures import Future
from contextlib import contextmanager

import pytest
import structlog

from fraudsim.errors import FraudsimError
from fraudsim.log.clock import Clock
from fraudsim.log.topics import create_topics
from fraudsim.polling import poll_until
from fraudsim.settings import Settings
from stream_features.worker import assignment
from stream_features.worker.assignment import SlotAssignment
from stream_features.worker.spark.log_watch import LogWatch

pytestmark = pytest.mark.stack
PATIENCE_S = 60


@pytest.fixture
def settings(stack, request, monkeypatch):
    """Of a worker in a group of this test's own."""
    monkeypatch.setattr(assignment, "GROUP", request.node.name)
    settings = Settings(
        _env_file=None, kafka_bootstrap=stack.kafka_bootstrap, redis_url=stack.redis_url,
        session_timeout_ms=2_000, worker_name="first",
    )  # fmt: skip
    create_topics(settings)
    return settings


class Member:
    """A worker's membership, in an event loop and a thread of its own."""

    def __init__(self, settings, protocol=None):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._settings, self._protocol = settings, protocol

    async def _join(self):
        self._assignment = SlotAssignment(self._settings, lambda: None, self._protocol)
        await self._assignment.start()

    def join(self):
        """Returns the slots, once there are some."""
        self.run(self._join()).result(PATIENCE_S)
        assert poll_until(lambda: len(self._assignment.slots) > 0, PATIENCE_S)
        return self._assignment.slots

    def stay(self) -> Future:
        return self.run(self._assignment.stay_in_group())

    def run(self, coroutine) -> Future:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    @contextmanager
    def silent(self):
        """No heartbeat leaves it within the block, as on a machine that is far too busy."""
        over = threading.Event()
        self._loop.call_soon_threadsafe(over.wait)
        try:
            yield
        finally:
            over.set()

    def close(self):
        self.run(self._assignment.stop()).result(PATIENCE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def members(settings):
    """A worker on Faust and one on Spark, of different names."""
    faust = Member(settings)
    spark = Member(settings.model_copy(update={"worker_name": "second"}), "spark-second")
    yield faust, spark
    faust.close()
    spark.close()


def test_a_second_engine_is_refused_and_the_first_keeps_the_slots(members, settings):
    first, second = members
    slots = first.join()
    assert slots == set(range(settings.slots))
    staying = first.stay()
    with pytest.raises(FraudsimError, match=r"another engine folds this log.* Nothing was written"):
        second.join()
    assert not staying.done()
    staying.cancel()


def test_a_worker_that_was_silent_for_a_session_loses_the_log_to_an_engine_that_waits(members, settings):
    faust, spark = members
    faust.join()
    staying = faust.stay()
    with faust.silent():
        assert spark.join() == set(range(settings.slots))
    with pytest.raises(
        FraudsimError, match=r"another engine has taken this log over: .* FRAUDSIM_SESSION_TIMEOUT_MS=2000"
    ):
        staying.result(PATIENCE_S)


def test_of_two_drivers_of_one_name_one_ends_and_the_other_goes_on(settings):
    watches = [LogWatch(settings, Clock(), structlog.get_logger()) for _ in range(2)]
    try:
        for watch in watches:
            watch.start()
        assert poll_until(lambda: any(watch.failure for watch in watches), PATIENCE_S)
        failures = [str(watch.failure) for watch in watches if watch.failure]
        assert failures == [
            "another worker on Spark with FRAUDSIM_WORKER_NAME=first folds this log: one engine at a time; "
            "stop one of them"
        ]
    finally:
        for watch in watches:
            watch.stop()
