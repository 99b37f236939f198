"""`fraudsim worker --engine spark`: the driver, which starts one query after another."""

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from aiokafka import TopicPartition
from redis import Redis
from redis.exceptions import RedisError

from fraudsim import metrics
from fraudsim.errors import FraudsimError
from fraudsim.log.brokers import KafkaAwayError
from fraudsim.log.clock import Clock
from fraudsim.log.clock_log import open_clock
from fraudsim.log.consumer import log_ranges
from fraudsim.process.garbage_collection import freeze_gc
from fraudsim.process.logs import set_up_logs
from fraudsim.process.stop_signals import stop_on_signals
from fraudsim.settings import Settings
from stream_features.offline.spark_java import spark_java
from stream_features.store.keys import watermark_key
from stream_features.store.redis_access import await_redis
from stream_features.store.watermark import check_range, check_watermark, decode_watermark
from stream_features.worker.spark.batch_plan import source_topic
from stream_features.worker.spark.connector import connector_jars
from stream_features.worker.spark.log_watch import LogWatch
from stream_features.worker.spark.query import BatchFailedError, FoldQuery, Homes
from stream_features.worker.spark.session import SparkOptions, open_session

RETRY_S: Final = 0.5
MOST_FAILURES: Final = 3
"""Queries in turn that may end on an error that no slot explains, without one batch folded."""
CHECK_S: Final = 0.1
SIGNAL_S: Final = 1.0


def run_spark_worker(settings: Settings, options: SparkOptions) -> None:
    """Run until a signal.

    Raises:
        FraudsimError: Java, PySpark or the connector is missing or does not fit; another engine folds the
            log; a slot's state is not this log's.
    """
    log = set_up_logs(settings, settings.worker_name)
    spark_java()
    jars = connector_jars(settings)
    log.info("worker_starting", metrics_port=metrics.serve_metrics(settings), engine="spark")
    clock = open_clock(settings).clock
    await_redis(settings, log)
    watch = LogWatch(settings, clock, log)
    with _scratch_folder() as scratch, _running(watch):
        session = open_session(options, jars, scratch)
        stop = stop_on_signals()  # after Spark's own handlers
        try:
            _Driver(settings, options, session, watch, scratch, stop, log).run(clock)
        except FraudsimError:
            raise
        except Exception:
            # A signal to all processes of a group ends the JVM too, perhaps before it is seen here.
            if not stop.wait(SIGNAL_S):
                log.exception("worker_failed")
                raise SystemExit(1) from None
        finally:
            with suppress(Exception):  # the JVM may be gone
                session.stop()


@contextmanager
def _running(watch: LogWatch) -> Iterator[None]:
    try:
        watch.start()
        yield
    finally:
        watch.stop()


@contextmanager
def _scratch_folder() -> Iterator[Path]:
    """A folder for checkpoints and Spark's files. What killed drivers left is removed."""
    parent = Path(tempfile.gettempdir())
    for leftover in parent.glob("fraudsim-spark-*-*"):
        pid = leftover.name.split("-")[2]
        if pid.isdigit() and not _runs(int(pid)):
            shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(
        prefix=f"fraudsim-spark-{os.getpid()}-", ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


class _Driver:
    def __init__(
        self,
        settings: Settings,
        options: SparkOptions,
        session: Any,
        watch: LogWatch,
        scratch: Path,
        stop: threading.Event,
        log: Any,
    ) -> None:
        self._settings = settings
        self._options = options
        self._session = session
        self._scratch = scratch
        self._stop = stop
        self._log = log
        self._watch = watch

    def run(self, clock: Clock) -> None:
        """Start a query from the watermarks; where it fails, another."""
        homes = Homes(self._session.sparkContext, self._settings.partitions)
        freeze_gc()
        failures = 0
        while not self._stop.is_set():
            query = self._new_query(homes, clock)
            if query is None:
                continue
            failure = self._await_end(query)
            if failure is None:
                return
            failures = 0 if query.batches or isinstance(failure, BatchFailedError) else failures + 1
            if failures >= MOST_FAILURES:
                raise failure
            self._log.warning("query_failed", reason=str(failure)[:500], next_step="from the watermarks")
            self._stop.wait(RETRY_S)

    def _new_query(self, homes: Homes, clock: Clock) -> FoldQuery | None:
        """A query from the smallest watermark on; None, after a pause, where a slot is not primed.

        Likewise where Redis or Kafka is away: they come back by themselves.

        Raises:
            FraudsimError: a slot's state is not this log's, or the log does not reach to it.
        """
        settings = self._settings
        stored = self._read_stored()
        if stored is None:
            self._watch.check()
            self._stop.wait(RETRY_S)
            return None
        n = settings.partitions
        tps = [TopicPartition(source_topic(source, n), source % n) for source in range(2 * n)]
        try:
            begins, ends = zip(*log_ranges(settings.kafka_bootstrap, tps).values(), strict=True)
        except KafkaAwayError as error:
            self._log.warning("kafka_away", error=str(error))
            self._stop.wait(RETRY_S)
            return None
        for slot, value in stored.items():
            watermark = decode_watermark(value)
            check_watermark(watermark, slot, clock.first, len(tps), settings.slots)
            check_range(watermark, slot, begins, ends)
        checkpoint = Path(tempfile.mkdtemp(prefix="checkpoint-", dir=self._scratch))
        return FoldQuery(settings, clock, stored, begins, self._watch, homes, checkpoint)

    def _read_stored(self) -> dict[int, bytes] | None:
        slots = range(self._settings.slots)
        try:
            with Redis.from_url(self._settings.redis_url) as redis:
                values: Any = redis.mget([watermark_key(slot) for slot in slots])
        except RedisError as error:
            self._log.warning("redis_away", error=str(error))
            return None
        absent = [slot for slot, value in zip(slots, values, strict=True) if value is None]
        if absent:
            self._log.info("slots_not_primed", slots=absent, next_step="fraudsim features prime")
            return None
        return dict(zip(slots, values, strict=True))

    def _await_end(self, query: FoldQuery) -> BaseException | None:
        """Run a query until it fails, and return why; None after a signal."""
        handle = query.start(self._session, self._options.trigger_ms)
        self._log.info("place_taken", slots=list(range(self._settings.slots)), start=query.starts)
        try:
            while handle.isActive:
                self._watch.check()
                if self._stop.wait(CHECK_S):
                    return None
            return query.failure or handle.exception() or RuntimeError("the query has ended")
        finally:
            handle.stop()
