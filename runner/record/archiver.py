"""The archiver: every record of the run's topics into the Parquet log, each exactly once.

Its own files say where to go on. It reads without a group, in large fetches twice a second: it shares the
machine with the path that answers within milliseconds.
"""

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import structlog

from fraudsim.archive.log_files import log_files, log_folder, read_ranges, write_file
from fraudsim.archive.offset_ranges import Ranges, gaps_in, merge_ranges
from fraudsim.archive.records import Record, to_table
from fraudsim.errors import FraudsimError
from fraudsim.garbage_collection import freeze_gc
from fraudsim.log.topics import ARCHIVED
from fraudsim.metrics import CONSUMER_LAG, HEARTBEAT
from fraudsim.settings import Settings

FLUSH_EVERY_S: Final = 5.0
FLUSH_RECORDS: Final = 50_000
POLL_MS: Final = 500
"""The broker holds a fetch back this long, or until it fills `FETCH_BYTES`: two wake-ups a second."""
FETCH_BYTES: Final = 4 * 1024 * 1024
TOPICS_WAIT_S: Final = 60.0
DRAIN_S: Final = 50.0
"""Less than the minute after which the supervisor kills it."""

_log = structlog.get_logger()


def run_archiver(
    settings: Settings,
    run_dir: Path,
    stop: threading.Event,
    *,
    drain: bool = False,
    flush_every_s: float = FLUSH_EVERY_S,
    prefix: str = "",
) -> dict[str, int]:
    """Archive until `stop`; returns the records written per topic by this process.

    Args:
        drain: on stop, read on to the ends the log has at that moment, before the last write.
        prefix: of the topics' names in Kafka; the files bear the names without it.

    Raises:
        FraudsimError: a topic is missing, or the folder holds another log's records.
    """
    return asyncio.run(_Archiver(settings, run_dir, stop, drain, flush_every_s, prefix).run())


def recover(run_dir: Path, topic: str) -> Ranges:
    """The offsets of a topic that whole files hold. Leftovers are removed, broken files set aside."""
    folder = log_folder(run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(f".{topic}-*.tmp"):
        leftover.unlink()
    covered: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for path in log_files(run_dir, topic):
        try:
            ranges = read_ranges(path)
        except ValueError as error:
            aside = path.with_name(path.name + ".corrupt")
            path.rename(aside)
            _log.error(
                "archive file set aside, its records are read again", file=aside.name, error=str(error)
            )
            continue
        for partition, stretches in ranges.items():
            covered[partition] += stretches
    return {partition: merge_ranges(stretches) for partition, stretches in covered.items()}


def wait_for_topics(settings: Settings, stop: threading.Event, prefix: str) -> list[tuple[str, int]]:
    """Every (topic, partition) to archive, once all topics are there.

    Raises:
        FraudsimError: a topic is missing still after a minute, or on stop.
    """
    from kafka import KafkaConsumer

    deadline = time.monotonic() + TOPICS_WAIT_S
    consumer: Any = KafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap.split(","), allow_auto_create_topics=False
    )
    try:
        while True:
            numbers = {topic: consumer.partitions_for_topic(prefix + topic) or set() for topic in ARCHIVED}
            missing = [topic for topic, there in numbers.items() if not there]
            if not missing:
                return [(prefix + topic, n) for topic in ARCHIVED for n in sorted(numbers[topic])]
            if time.monotonic() > deadline or stop.wait(0.2):
                raise FraudsimError(
                    f"topic {prefix + missing[0]} does not exist: create the topics with `fraudsim topics`"
                )
    finally:
        consumer.close()


class _Archiver:
    """One run of the archiver."""

    def __init__(
        self,
        settings: Settings,
        run_dir: Path,
        stop: threading.Event,
        drain: bool,
        flush_every_s: float,
        prefix: str,
    ) -> None:
        self._settings = settings
        self._run_dir = run_dir
        self._stop = stop
        self._drain = drain
        self._prefix = prefix
        self._flush_every_s = flush_every_s
        self._covered = {topic: recover(run_dir, topic) for topic in ARCHIVED}
        self._seq = {topic: self._next_seq(topic) for topic in ARCHIVED}
        self._tables: dict[str, list[pa.Table]] = {topic: [] for topic in ARCHIVED}
        self._buffered = 0
        self._flush_at = 0.0
        self._written = dict.fromkeys(ARCHIVED, 0)
        self._lag = {topic: CONSUMER_LAG.labels(process="archiver", topic=topic) for topic in ARCHIVED}

    def _topic(self, partition: Any) -> str:
        return str(partition.topic).removeprefix(self._prefix)

    def _next_seq(self, topic: str) -> int:
        taken = [
            int(p.name.split(".parquet")[0].rsplit("-", 1)[1])
            for p in log_folder(self._run_dir).glob(f"{topic}-*.parquet*")
        ]
        return max(taken, default=0) + 1

    async def run(self) -> dict[str, int]:
        from aiokafka import AIOKafkaConsumer

        from fraudsim.log.lenient_records import read_past_unreadable_headers

        read_past_unreadable_headers()
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka_bootstrap,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_wait_ms=POLL_MS,
            fetch_min_bytes=FETCH_BYTES,
            max_partition_fetch_bytes=FETCH_BYTES,
        )
        await consumer.start()
        try:
            partitions = await self._assign(consumer)
            freeze_gc()
            self._flush_at = time.monotonic() + self._flush_every_s
            while not self._stop.is_set():
                await self._read(consumer, partitions)
            if self._drain:
                await self._read_to_the_end(consumer, partitions)
            self._flush()
        finally:
            await consumer.stop()
        return self._written

    async def _assign(self, consumer: Any) -> list[Any]:
        """Take every partition, each from the first offset that no file holds."""
        from aiokafka import TopicPartition

        partitions = [
            TopicPartition(topic, n) for topic, n in wait_for_topics(self._settings, self._stop, self._prefix)
        ]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        begins = await consumer.beginning_offsets(partitions)
        for partition in partitions:
            stretches = self._covered[self._topic(partition)].get(partition.partition, [])
            gaps = gaps_in(stretches)
            after = stretches[-1][1] + 1 if stretches else 0
            if after > ends[partition]:
                raise FraudsimError(
                    f"{log_folder(self._run_dir)} holds {partition.topic}[{partition.partition}] up to "
                    f"offset {after - 1}, Kafka's log ends at {ends[partition]}: "
                    "this folder belongs to another log"
                )
            consumer.seek(partition, max(gaps[0][0] if gaps else after, begins[partition]))
        return partitions

    async def _read(self, consumer: Any, partitions: list[Any]) -> None:
        """Take what the fetcher has, and flush when it is time to."""
        self._take(await consumer.getmany(timeout_ms=POLL_MS, max_records=10_000))
        if self._buffered >= FLUSH_RECORDS or time.monotonic() >= self._flush_at:
            self._flush()
            await self._report(consumer, partitions)

    def _take(self, polled: Mapping[Any, list[Any]]) -> None:
        """Make columns of what came, at once: all of them just before a file is written were a burst of work
        that transactions had to wait for."""
        taken: dict[str, list[Record]] = defaultdict(list)
        for partition, records in polled.items():
            topic = self._topic(partition)
            covered = self._covered[topic].get(partition.partition, [])
            for record in records:
                if covered and any(first <= record.offset <= last for first, last in covered):
                    continue  # read again on the way from a gap to the end
                taken[topic].append(
                    Record(
                        partition.partition,
                        record.offset,
                        record.timestamp,
                        record.key,
                        record.headers,
                        record.value,
                    )
                )
        for topic, kept in taken.items():
            self._tables[topic].append(to_table(topic, kept))
            self._buffered += len(kept)

    def _flush(self) -> None:
        for topic, tables in self._tables.items():
            if tables:
                table = pa.concat_tables(tables)
                write_file(self._run_dir, topic, self._seq[topic], table)
                self._seq[topic] += 1
                self._written[topic] += table.num_rows
                self._tables[topic] = []
        self._buffered = 0
        self._flush_at = time.monotonic() + self._flush_every_s
        HEARTBEAT.set_to_current_time()

    async def _report(self, consumer: Any, partitions: list[Any]) -> None:
        lag = dict.fromkeys(ARCHIVED, 0)
        for partition in partitions:
            end = consumer.highwater(partition)
            if end is not None:
                lag[self._topic(partition)] += max(end - await consumer.position(partition), 0)
        for topic, records in lag.items():
            self._lag[topic].set(records)

    async def _read_to_the_end(self, consumer: Any, partitions: list[Any]) -> None:
        ends = await consumer.end_offsets(partitions)
        deadline = time.monotonic() + DRAIN_S
        while True:
            behind = [p for p in partitions if await consumer.position(p) < ends[p]]
            if not behind:
                return
            if time.monotonic() > deadline:
                raise FraudsimError(f"{len(behind)} partitions not read to their ends within {DRAIN_S:g} s")
            await self._read(consumer, partitions)
