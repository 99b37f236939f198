"""Follows a run's log into a `RunState`, whatever becomes of Kafka."""

import asyncio
import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from dashboards.page.counts.run_state import RunState
from fraudsim import metrics
from fraudsim.errors import FraudsimError
from fraudsim.log import topics
from fraudsim.log.acceptance import read_event
from fraudsim.log.clock_log import open_clock
from fraudsim.log.consumer import FetchPlan, Polled, TopicReader, existing_partitions, open_reader
from fraudsim.settings import Settings
from producers.history.reader import read_history
from producers.world.settings import consequences
from runner.record.latencies import percentiles
from runner.record.observer import ObservedDecision

POLL_MS: Final = 250
PLAN: Final = FetchPlan(wait_ms=POLL_MS, min_bytes=1 << 20, max_partition_bytes=1 << 20)
"""Four fetches a second, as many as updates, whatever the rate. A poll has at most a MiB of a partition."""
RETRY_S: Final = 1.0
ASK_ENDS_S: Final = 2.0
ANSWER_S: Final = 5.0
"""Longest time that Kafka may take to say where the log ends."""
NULL_EVERY_S: Final = 30.0
AWAY: Final = (KafkaError, FraudsimError, OSError, TimeoutError)
_decode_null: Final = msgspec.json.Decoder(ObservedDecision).decode


class LogFeed:
    """The state of the log that is followed, or why there is none."""

    def __init__(self, settings: Settings, with_truth: bool) -> None:
        """`with_truth`: whether the topic of truth is read at all."""
        self._settings = settings
        self._topics = [
            topics.TRANSACTIONS, topics.DECISIONS, topics.LABELS, topics.DEAD_LETTERS, topics.CLOCK,
            topics.CONTROL, topics.LAGGED_DECISIONS,
            *([topics.TRUTH] if with_truth else []),
        ]  # fmt: skip
        self.state: RunState | None = None
        self.problem = "the log has not been asked yet"
        """Why nothing new is read; empty while it is."""
        self.note = ""
        """What happened to the log earlier."""
        self.null_ms: dict[str, float | None] = {}
        """Percentiles of the null pipeline, empty where none has run."""
        self.unread = 0
        """Records of the log that have not been read, as of the last time Kafka was asked."""
        self._log_id = ""
        self._positions: dict[TopicPartition, int] = {}

    async def follow(self) -> None:
        """Follow until cancelled; after any failure, go on once Kafka is there again."""
        while True:
            with contextlib.suppress(*AWAY), self._naming_problems():
                await self._read()
            await asyncio.sleep(RETRY_S)

    @contextlib.contextmanager
    def _naming_problems(self) -> Iterator[None]:
        try:
            yield
        except AWAY as error:
            self.problem = " ".join(str(error).split()) or type(error).__name__
            raise

    async def _read(self) -> None:
        settings = self._settings
        partitions = await asyncio.to_thread(existing_partitions, settings.kafka_bootstrap, self._topics)
        clock = (await asyncio.to_thread(open_clock, settings, 0)).clock
        if clock.log_id != self._log_id:
            if self._log_id:
                self.note = f"another log ({clock.log_id}) began; counted from its start"
            self.state = RunState(consequences(settings), settings.seed, _cards(clock.first.history))
            self._log_id, self._positions = clock.log_id, {}
            await self._read_null_pipeline()
        tps = [TopicPartition(topic, p) for topic, numbers in partitions.items() for p in numbers]
        async with open_reader(settings.kafka_bootstrap, tps, PLAN, client_id="page") as reader:
            begins = await reader.begins()
            reader.seek({tp: max(begins[tp], self._positions.get(tp, 0)) for tp in tps})
            with self._naming_problems():  # at once: to close a reader whose Kafka is away takes long
                await self._read_truth(reader)
                await self._poll(reader)

    async def _read_truth(self, reader: TopicReader) -> None:
        """Read the truth to its present end, so that the decisions of a long log need not wait for it."""
        others = [tp for tp in reader.partitions if tp.topic != topics.TRUTH]
        if len(others) == len(reader.partitions):
            return
        ends = await reader.ends()
        reader.pause(*others)
        while any(p < ends[tp] for tp, p in (await reader.positions()).items() if tp.topic == topics.TRUTH):
            await self._add(await reader.poll(POLL_MS), time.monotonic())
        reader.resume(*others)

    async def _add(self, polled: Polled, now_s: float) -> None:
        """Add what a poll brought; whoever reads the page is answered in between."""
        assert self.state is not None
        for tp, records in polled.items():
            self.state.add_records(tp.topic, records, now_s)
            self._positions[tp] = records[-1].offset + 1
            await asyncio.sleep(0)

    async def _poll(self, reader: TopicReader) -> None:
        assert self.state is not None
        ask_at_s = 0.0
        while True:
            polled = await reader.poll(POLL_MS)
            now_s = time.monotonic()
            await self._add(polled, now_s)
            if now_s >= ask_at_s:
                self.unread = await self._ask_unread(reader)
                ask_at_s = time.monotonic() + ASK_ENDS_S
                metrics.HEARTBEAT.set_to_current_time()
                metrics.CONSUMER_LAG.labels("page", "all").set(self.unread)
            self.state.advance(now_s)
            self.problem = ""
            await asyncio.sleep(0)

    async def _ask_unread(self, reader: TopicReader) -> int:
        """Records that are still to be read.

        Raises:
            FraudsimError: Kafka does not answer, or its log ends before what was read.
        """
        try:
            async with asyncio.timeout(ANSWER_S):
                ends, positions = await reader.ends(), await reader.positions()
        except (TimeoutError, KafkaError):
            raise FraudsimError(
                f"Kafka at {self._settings.kafka_bootstrap} does not answer: what was read stands still"
            ) from None
        if any(ends[tp] < position for tp, position in self._positions.items()):
            self._positions = {}
            raise FraudsimError("the log ends before what was read: it is another log")
        return sum(max(ends[tp] - positions[tp], 0) for tp in ends)

    async def _read_null_pipeline(self) -> None:
        """Read the latencies of the null pipeline, if this Kafka has one's records."""
        topic = topics.NULL + topics.DECISIONS
        self.null_ms = {}
        with contextlib.suppress(FraudsimError, KafkaError):
            partitions = await asyncio.to_thread(existing_partitions, self._settings.kafka_bootstrap, [topic])
            tps = [TopicPartition(topic, p) for p in partitions[topic]]
            async with open_reader(self._settings.kafka_bootstrap, tps, client_id="page") as reader:
                await reader.seek_to_begins()
                latencies_ms: list[float] = []
                async for _, records, _ in reader.read_until(await reader.ends()):
                    latencies_ms += _null_latencies(records)
            if latencies_ms:
                self.null_ms = percentiles(latencies_ms)


def _null_latencies(records: Sequence[object]) -> list[float]:
    latencies = []
    for record in records:
        event = read_event(record.value, _decode_null)  # type: ignore[attr-defined]
        if isinstance(event, ObservedDecision) and event.sent_at:
            latencies.append(record.timestamp - event.sent_at / 1000)  # type: ignore[attr-defined]
    return latencies


def _cards(history: str) -> int | None:
    """The number of cards of a history; None where it cannot be read here."""
    try:
        return read_history(Path(history)).manifest.cards if history else None
    except FraudsimError:
        return None
