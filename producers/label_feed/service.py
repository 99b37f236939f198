"""The label feed's edge: decisions and the clock read from the log, labels sent to it."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

import msgspec

from fraudsim import metrics
from fraudsim.garbage_collection import freeze_gc
from fraudsim.log import headers as h
from fraudsim.log.acceptance import Rejected, read_event
from fraudsim.log.clock import Clock, LoggedSegment, past_limit_ms
from fraudsim.log.events import decode_label, decode_segment, encoder
from fraudsim.log.lenient_records import read_past_unreadable_headers
from fraudsim.log.topics import CLOCK, DECISIONS, LABELS, TRANSACTIONS
from fraudsim.settings import Settings
from producers.label_feed.feed import FeedReport, LabelFeed, LabelKey, key_of
from producers.labels.back_office import BackOffice, Outcome
from producers.sender import schedule
from producers.sender.log_ends import SETTLE_S, partitions_of
from producers.sender.outbox import open_outbox
from producers.sources.source import Source

POLL_MS: Final = 500
PROGRESS_S: Final = 1.0
UNDECIDED_S: Final = 60.0
"""Wall time that a label waits for the decision on its transaction; without one there was no payment."""
QUIET_S: Final = 5.0
"""At the end of the stream, with no decision for this long, what is not decided will not be."""
OVER_S: Final = 1.0
"""The end of the stream is certain this long after it: the last transactions are in the log."""
STOP_FLUSH_S: Final = 10.0
E = TypeVar("E")
_decode = msgspec.json.Decoder(Outcome).decode


async def feed_labels(
    source: Source,
    office: BackOffice,
    settings: Settings,
    *,
    speed: float,
    seconds: float | None,
    stop: threading.Event,
    on_progress: Callable[[FeedReport], None] = lambda report: None,
) -> FeedReport:
    """Send labels until the live stream ends, or until told to stop.

    Args:
        speed: event milliseconds per wall millisecond.
        seconds: wall seconds of live traffic; labels known later are not sent. None goes on.

    Raises:
        FraudsimError: a topic is missing.
        SendError: Kafka did not acknowledge a label. End the process; the next start mends it.
    """
    partitions = partitions_of(settings, [LABELS, DECISIONS, CLOCK])
    outbox = open_outbox(settings, [LABELS])
    reader = await _Reader.start(settings, partitions)
    end_ms = schedule.end_ms(source.start_ms, speed, seconds)
    header = (h.SOURCE, f"labels-{source.name}".encode())
    try:
        known = await reader.read_back()
        late_ms = past_limit_ms(speed)
        feed = LabelFeed(source, office, len(partitions[DECISIONS]), end_ms, late_ms, known)
        freeze_gc()
        complete, report_at = False, 0.0
        while not stop.is_set() and not complete:
            for partition, outcome in await reader.poll():
                feed.decided(partition, outcome)
            if await reader.caught_up() and reader.clock.current.speed > 0:
                segment, now_ms = reader.clock.current, reader.clock.now_ms(time.time() * 1000)
                complete = now_ms >= end_ms + OVER_S * 1000 * segment.speed and (
                    reader.quiet_s > QUIET_S or await reader.all_decided(feed.first.last_source)
                )
                wait_ms = 0 if complete else round(UNDECIDED_S * 1000 * segment.speed)
                for label in feed.due(now_ms, segment, wait_ms):
                    while not outbox.wait_for_room():
                        metrics.HEARTBEAT.set_to_current_time()
                    headers = [(h.SEGMENT, h.encode_int(segment.number)), header]
                    outbox.hand_over(LABELS, label.card_id, encoder.encode(label), headers)
                    _SENT.inc()
            outbox.check()
            if time.monotonic() >= report_at:
                report_at = time.monotonic() + PROGRESS_S
                metrics.HEARTBEAT.set_to_current_time()
                on_progress(feed.report(False))
        outbox.flush(STOP_FLUSH_S)
        report = feed.report(complete)
        on_progress(report)
        return report
    finally:
        await reader.stop()
        outbox.close(0)


class _Reader:
    """Decisions and the clock as they come, and once the labels that the log holds already."""

    def __init__(self, consumer: Any, partitions: dict[str, list[int]]) -> None:
        from aiokafka import TopicPartition

        self._consumer = consumer
        self._labels = [TopicPartition(LABELS, p) for p in partitions[LABELS]]
        self._transactions = [TopicPartition(TRANSACTIONS, p) for p in partitions[DECISIONS]]
        self._live = [TopicPartition(topic, p) for topic in (DECISIONS, CLOCK) for p in partitions[topic]]
        self._decided_at = time.monotonic()
        self._ends: dict[Any, int] = {}
        self.clock = Clock()

    @classmethod
    async def start(cls, settings: Settings, partitions: dict[str, list[int]]) -> "_Reader":
        from aiokafka import AIOKafkaConsumer

        read_past_unreadable_headers()
        consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.kafka_bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_poll_records=2_000,
            fetch_min_bytes=512 * 1024,  # nobody waits for a label: few, large fetches
            fetch_max_wait_ms=500,
        )
        await consumer.start()
        return cls(consumer, partitions)

    async def stop(self) -> None:
        await self._consumer.stop()

    @property
    def quiet_s(self) -> float:
        """Wall seconds since the last decision."""
        return time.monotonic() - self._decided_at

    async def read_back(self) -> set[LabelKey]:
        """Every label in the log; from now on decisions and clock are read, from their beginning."""
        known: set[LabelKey] = set()
        await self._begin(self._labels)
        grew = True
        while grew:  # until nothing of a predecessor arrives any more
            while not await self.caught_up():
                for records in (await self._consumer.getmany(timeout_ms=POLL_MS)).values():
                    known.update(key_of(label) for label in _readable(records, decode_label))
            await asyncio.sleep(SETTLE_S)
            self._ends = await self._consumer.end_offsets(self._labels)
            grew = not await self.caught_up()
        await self._begin(self._live)
        return known

    async def _begin(self, tps: list[Any]) -> None:
        """Read these partitions from their beginning, and know how far they reach by now."""
        self._consumer.assign(tps)
        self._ends = await self._consumer.end_offsets(tps)
        await self._consumer.seek_to_beginning(*tps)

    async def caught_up(self) -> bool:
        """Whether everything has been read that the log held when reading began."""
        for tp in list(self._ends):
            if await self._consumer.position(tp) >= self._ends[tp]:
                del self._ends[tp]
        return not self._ends

    async def all_decided(self, last_source: Mapping[int, int]) -> bool:
        """Whether the decisions read are as far as the transactions in the log."""
        ends = await self._consumer.end_offsets(self._transactions)
        return all(last_source[tp.partition] + 1 >= end for tp, end in ends.items())

    async def poll(self) -> list[tuple[int, Outcome]]:
        """Decisions that have come in, with their partitions; clock segments go to `clock`."""
        outcomes: list[tuple[int, Outcome]] = []
        for tp, records in (await self._consumer.getmany(timeout_ms=POLL_MS)).items():
            if tp.topic == CLOCK:
                for record in records:
                    self.clock.add(LoggedSegment(decode_segment(record.value), record.timestamp))
            else:
                outcomes += [(tp.partition, outcome) for outcome in _readable(records, _decode)]
                self._decided_at = time.monotonic()
        return outcomes


def _readable(records: Iterable[Any], decode: Callable[[bytes], E]) -> Iterator[E]:
    """The events of some records, less what somebody else wrote there and nobody can read."""
    for record in records:
        event = read_event(record.value, decode)
        if not isinstance(event, Rejected):
            yield event


_SENT = metrics.LABELS.labels(stage="sent", outcome="ok")
