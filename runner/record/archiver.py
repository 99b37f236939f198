"""The archiver: writes every record of the run's topics to the Parquet log, each exactly once.

The offsets to resume from are read from the files themselves. It consumes without a group, in large fetches
twice a second, because it shares the machine with the scorer, which answers within milliseconds.
"""

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pyarrow as pa
import structlog
from aiokafka import TopicPartition

from fraudsim.archive.log_files import log_files, log_folder, read_ranges, write_file
from fraudsim.archive.offset_ranges import Ranges, gaps_in, merge_ranges, without
from fraudsim.archive.records import Record, to_table
from fraudsim.errors import FraudsimError
from fraudsim.log.consumer import FetchPlan, Polled, TopicReader, open_reader, partitions_of
from fraudsim.log.topics import ARCHIVED
from fraudsim.metrics import CONSUMER_LAG, HEARTBEAT
from fraudsim.process.garbage_collection import freeze_gc
from fraudsim.settings import Settings

FLUSH_EVERY_S: Final = 5.0
FLUSH_RECORDS: Final = 50_000
FLUSH_BYTES: Final = 32 * 1024 * 1024
"""Of the buffered columns: a file is written when it is due, or when this much waits for it."""
POLL_MS: Final = 500
"""The broker delays a fetch by this time, or until it has `FETCH_BYTES`: two wake-ups a second."""
FETCH_BYTES: Final = 4 * 1024 * 1024
FETCHES: Final = FetchPlan(wait_ms=POLL_MS, min_bytes=FETCH_BYTES, max_partition_bytes=FETCH_BYTES)
TOPICS_WAIT_S: Final = 60.0
DRAIN_S: Final = 50.0
"""Less than the 60 s after which the supervisor kills the archiver."""

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
    """Archive until `stop` is set; returns the number of records written by this process, by topic.

    Args:
        drain: on stop, first read to the end offsets that the log has at that moment.
        prefix: prefix of the topic names in Kafka; file names are without it.

    Raises:
        FraudsimError: a topic is missing, or the folder holds the records of another log.
    """
    return asyncio.run(_Archiver(settings, run_dir, stop, drain, flush_every_s, prefix).run())


def recover(run_dir: Path, topic: str) -> Ranges:
    """The offsets of a topic that complete files hold, by partition.

    Temporary files are removed, and broken files are renamed to `.corrupt`.
    """
    folder = log_folder(run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    for temporary in folder.glob(f".{topic}-*.tmp"):
        temporary.unlink()
    covered: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for path in log_files(run_dir, topic):
        try:
            ranges = read_ranges(path)
        except ValueError as error:
            corrupt = path.with_name(path.name + ".corrupt")
            path.rename(corrupt)
            _log.error(
                "archive file set aside, its records are read again", file=corrupt.name, error=str(error)
            )
            continue
        for partition, offset_ranges in ranges.items():
            covered[partition] += offset_ranges
    return {partition: merge_ranges(offset_ranges) for partition, offset_ranges in covered.items()}


def wait_for_topics(settings: Settings, stop: threading.Event, prefix: str) -> list[TopicPartition]:
    """Wait until all topics exist; returns every partition to archive.

    Raises:
        FraudsimError: a topic is still missing after 60 s, or when `stop` is set.
    """
    deadline = time.monotonic() + TOPICS_WAIT_S
    names = [prefix + topic for topic in ARCHIVED]
    while True:
        numbers = partitions_of(settings.kafka_bootstrap, names)
        missing = [topic for topic, partitions in numbers.items() if not partitions]
        if not missing:
            return [TopicPartition(topic, n) for topic in names for n in numbers[topic]]
        if time.monotonic() > deadline or stop.wait(0.2):
            raise FraudsimError(
                f"topic {missing[0]} does not exist: create the topics with `fraudsim topics`"
            )


class _Archiver:
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
        self._file_number = {topic: self._next_file_number(topic) for topic in ARCHIVED}
        self._tables: dict[str, list[pa.Table]] = {topic: [] for topic in ARCHIVED}
        self._buffered_records = 0
        self._buffered_bytes = 0
        self._read_to: dict[TopicPartition, int] = {}
        """Next offset to read, by partition."""
        self._passed: dict[str, Ranges] = {topic: {} for topic in ARCHIVED}
        """Offsets read since the last file of a topic was written."""
        self._flush_at = 0.0
        self._written = dict.fromkeys(ARCHIVED, 0)
        self._lag = {topic: CONSUMER_LAG.labels(process="archiver", topic=topic) for topic in ARCHIVED}

    def _topic_name(self, partition: TopicPartition) -> str:
        return str(partition.topic).removeprefix(self._prefix)

    def _next_file_number(self, topic: str) -> int:
        numbers = [
            int(p.name.split(".parquet")[0].rsplit("-", 1)[1])
            for p in log_folder(self._run_dir).glob(f"{topic}-*.parquet*")
        ]
        return max(numbers, default=0) + 1

    async def run(self) -> dict[str, int]:
        partitions = wait_for_topics(self._settings, self._stop, self._prefix)
        async with open_reader(self._settings.kafka_bootstrap, partitions, FETCHES, "archiver") as reader:
            await self._seek(reader)
            freeze_gc()
            self._flush_at = time.monotonic() + self._flush_every_s
            while not self._stop.is_set():
                await self._read(reader)
            if self._drain:
                await self._read_to_end(reader)
            self._flush()
        return self._written

    async def _seek(self, reader: TopicReader) -> None:
        """Begin each partition at the first offset that no file holds."""
        ends, begins = await reader.ends(), await reader.begins()
        for partition in reader.partitions:
            covered = self._covered[self._topic_name(partition)].get(partition.partition, [])
            gaps = gaps_in(covered)
            next_offset = covered[-1][1] + 1 if covered else 0
            if next_offset > ends[partition]:
                raise FraudsimError(
                    f"{log_folder(self._run_dir)} holds {partition.topic}[{partition.partition}] up to "
                    f"offset {next_offset - 1}, Kafka's log ends at {ends[partition]}: "
                    "this folder belongs to another log"
                )
            first = max(gaps[0][0] if gaps else next_offset, begins[partition])
            reader.seek({partition: first})
            self._read_to[partition] = first

    async def _read(self, reader: TopicReader) -> None:
        """Buffer the fetched records, and flush when enough records or seconds have passed."""
        self._buffer(await reader.poll(timeout_ms=POLL_MS, max_records=10_000))
        self._pass_to(await reader.positions())
        is_full = self._buffered_records >= FLUSH_RECORDS or self._buffered_bytes >= FLUSH_BYTES
        if is_full or time.monotonic() >= self._flush_at:
            self._flush()
            await self._report_lag(reader)

    def _buffer(self, polled: Polled) -> None:
        """Convert the records to columns at once: to convert all of them when a file is written would be a
        burst of work that delays transactions."""
        new_records: dict[str, list[Record]] = defaultdict(list)
        for partition, records in polled.items():
            topic = self._topic_name(partition)
            covered = self._covered[topic].get(partition.partition, [])
            for record in records:
                if covered and any(first <= record.offset <= last for first, last in covered):
                    continue  # already in a file; read again because a gap precedes it
                new_records[topic].append(
                    Record(
                        partition.partition,
                        record.offset,
                        record.timestamp,
                        record.key,
                        record.headers,
                        record.value,
                    )
                )
        for topic, topic_records in new_records.items():
            table = to_table(topic, topic_records)
            self._tables[topic].append(table)
            self._buffered_records += len(topic_records)
            self._buffered_bytes += table.nbytes

    def _pass_to(self, positions: Mapping[TopicPartition, int]) -> None:
        """Note the offsets between the positions before and after a poll, with a record or without."""
        for tp, position in positions.items():
            topic, first = self._topic_name(tp), self._read_to[tp]
            if position > first:
                fresh = without([(first, position - 1)], self._covered[topic].get(tp.partition, []))
                passed = self._passed[topic]
                passed[tp.partition] = merge_ranges([*passed.get(tp.partition, ()), *fresh])
            self._read_to[tp] = position

    def _flush(self) -> None:
        for topic, tables in self._tables.items():
            if tables:
                table = pa.concat_tables(tables)
                write_file(self._run_dir, topic, self._file_number[topic], table, self._passed[topic])
                self._passed[topic] = {}
                self._file_number[topic] += 1
                self._written[topic] += table.num_rows
                self._tables[topic] = []
        self._buffered_records = self._buffered_bytes = 0
        self._flush_at = time.monotonic() + self._flush_every_s
        HEARTBEAT.set_to_current_time()

    async def _report_lag(self, reader: TopicReader) -> None:
        lag = dict.fromkeys(ARCHIVED, 0)
        for partition, records in (await reader.lags()).items():
            lag[self._topic_name(partition)] += records
        for topic, records in lag.items():
            self._lag[topic].set(records)

    async def _read_to_end(self, reader: TopicReader) -> None:
        ends = await reader.ends()
        deadline = time.monotonic() + DRAIN_S
        while True:
            positions = await reader.positions()
            unfinished = [partition for partition, end in ends.items() if positions[partition] < end]
            if not unfinished:
                return
            if time.monotonic() > deadline:
                raise FraudsimError(
                    f"{len(unfinished)} partitions not read to their ends within {DRAIN_S:g} s"
                )
            await self._read(reader)
