"""The label feed: decisions read from the log, and the labels that follow from them sent when they are known.

It keeps nothing of its own. Started again, it works out everything anew from the source and the decisions,
and sends what the log does not hold yet.
"""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Any, Final

import msgspec

from fraudsim import headers as h
from fraudsim import metrics
from fraudsim.clock import Clock, PlacedSegment, past_limit_ms
from fraudsim.events import Label, Segment, Truth, decode_label, decode_segment, encoder
from fraudsim.lenient_records import read_past_unreadable_headers
from fraudsim.settings import Settings
from fraudsim.slots import partition_of
from fraudsim.topics import CLOCK, DECISIONS, LABELS, TRANSACTIONS
from producers import schedule
from producers.back_office import BackOffice, Outcome
from producers.kafka_io import Outbox, partitions_of
from producers.source import Item, Source

POLL_MS: Final = 100
PROGRESS_S: Final = 1.0
UNDECIDED_S: Final = 60.0
"""Wall time that a label waits for the decision on its transaction; without one there was no payment."""
QUIET_S: Final = 5.0
"""At the end of the stream, with no decision for this long, what is not decided will not be."""
SETTLE_S: Final = 1.0
"""The end of the stream is certain this long after it: the last transactions are in the log."""
STOP_FLUSH_S: Final = 10.0
MOST_FRAUDS: Final = 1_000_000
"""Frauds kept with the decision on each; beyond, the oldest are forgotten."""
_decode_outcome = msgspec.json.Decoder(Outcome).decode
LabelKey = tuple[str, str, bool]
"""Transaction, source, verdict: nobody says the same twice."""


class FeedReport(msgspec.Struct, kw_only=True):
    """What the feed did, over all starts of one run."""

    sent: dict[str, int]
    """Labels in the log, by source."""
    decisions: dict[str, int]
    """By action, and what came of step-ups and reviews."""
    withheld: int
    """Labels of the world that did not come, because the payment had not gone through."""
    undecided: int
    """Labels of transactions that nobody decided."""
    delayed: int
    """Labels known at the restart of the feed instead of when they were due."""
    complete: bool


class LabelFeed:
    """The pure part: what is due, in which order, and whether it comes. Reading and sending are elsewhere."""

    def __init__(
        self,
        source: Source,
        office: BackOffice,
        partitions: int,
        end_ms: float,
        late_ms: int,
        known: Iterable[LabelKey] = (),
    ) -> None:
        """
        Args:
            partitions: of `decisions`.
            end_ms: event time; labels known then or later are not sent.
            late_ms: event time by which a transaction may be older than its place in the source.
            known: labels that the log holds.
        """
        self._items = source.items()
        self._start_ms = source.start_ms
        self._next: Item | None = next(self._items, None)
        self._office = office
        self._end_ms = end_ms
        self._late_ms = late_ms
        self._frauds: dict[str, Outcome | None] = {}
        self._due: list[tuple[int, int, Label, bool]] = []
        self._number = count()
        self._decided_to = [-1] * partitions
        self.last_source = [-1] * partitions
        """Offset in `transactions` of the last one decided, by partition."""
        self._known = set(known)
        self._partitions = partitions
        self.sent = Counter(source for _, source, _ in self._known)
        self.withheld = 0
        self.undecided = 0
        self.delayed = 0

    def decided(self, partition: int, outcome: Outcome) -> None:
        """Take in a decision, in the order of its partition; of several for one source offset the first."""
        if outcome.source_offset <= self.last_source[partition]:
            return
        self.last_source[partition] = outcome.source_offset
        self._decided_to[partition] = max(self._decided_to[partition], outcome.ts)
        self._read_source(outcome.ts + self._late_ms)
        is_fraud = outcome.tx_id in self._frauds
        if is_fraud:
            self._frauds[outcome.tx_id] = outcome
        for label in self._office.decided(outcome, is_fraud):
            self._add(label, of_the_world=False)

    def due(self, now_ms: int, segment: Segment, wait_ms: int) -> list[Label]:
        """Labels to be sent now.

        Args:
            now_ms: event time.
            segment: of the clock, in force.
            wait_ms: event time for which a label waits for the decision on its transaction.
        """
        now_ms = int(min(now_ms, self._end_ms))
        self._read_source(now_ms)
        for label in self._office.advance(now_ms):
            self._add(label, of_the_world=False)
        found, waiting = [], []
        while self._due and self._due[0][0] <= now_ms:
            known_at, number, label, of_the_world = heappop(self._due)
            if known_at >= self._end_ms:
                continue
            if of_the_world and not self._is_decided(label):
                if now_ms - known_at < wait_ms:
                    waiting.append((known_at, number, label, of_the_world))
                else:
                    self.undecided += 1
                continue
            if of_the_world and not self._office.passes(label):
                self.withheld += 1
                continue
            found.append(self._fresh(self._as_sent(label), now_ms, segment))
        for entry in waiting:
            heappush(self._due, entry)
        return [label for label in found if self._is_new(label)]

    def _read_source(self, until_ms: int) -> None:
        while self._next is not None and self._next.due_ms <= until_ms:
            event = self._next.event
            if isinstance(event, Label):
                self._add(event, of_the_world=True)
            elif isinstance(event, Truth) and event.is_fraud:
                self._frauds[event.tx_id] = None
                if len(self._frauds) > MOST_FRAUDS:
                    del self._frauds[next(iter(self._frauds))]
            self._next = next(self._items, None)

    def _add(self, label: Label, of_the_world: bool) -> None:
        heappush(self._due, (label.known_at, next(self._number), label, of_the_world))

    def _is_decided(self, label: Label) -> bool:
        """Whether the transaction's decision is there, if ever it comes.

        A fraud's is known by its id. Of honest ones only the stopped are kept; the decisions of a partition
        come in the order of its transactions.
        """
        if label.tx_id in self._frauds:
            return self._frauds[label.tx_id] is not None
        partition = partition_of(label.card_id, self._partitions)
        return label.ts < self._start_ms or self._decided_to[partition] >= label.ts

    def _as_sent(self, label: Label) -> Label:
        """The label with the keys of the transaction as it was decided: fraudsters may have changed it."""
        outcome = self._frauds.get(label.tx_id)
        if outcome is None:
            return label
        return msgspec.structs.replace(
            label,
            card_id=outcome.card_id,
            ts=outcome.ts,
            amount_cents=outcome.amount_cents,
            merchant_id=outcome.merchant_id,
        )

    def _fresh(self, label: Label, now_ms: int, segment: Segment) -> Label:
        """The label, known now where it is so old that it would not count any more."""
        if now_ms - label.known_at <= segment.past_ms // 2 or _key(label) in self._known:
            return label
        self.delayed += 1
        return msgspec.structs.replace(label, known_at=now_ms)

    def _is_new(self, label: Label) -> bool:
        key = _key(label)
        if key in self._known:
            return False
        self._known.add(key)
        self.sent[label.source] += 1
        return True

    def report(self, complete: bool) -> FeedReport:
        return FeedReport(
            sent=dict(sorted(self.sent.items())),
            decisions={name: n for name, n in sorted(self._office.counts.items()) if n},
            withheld=self.withheld,
            undecided=self.undecided,
            delayed=self.delayed,
            complete=complete,
        )


def _key(label: Label) -> LabelKey:
    return (label.tx_id, label.source, label.is_fraud)


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
    outbox = Outbox(settings, [LABELS])
    reader = await _Reader.start(settings, partitions)
    end_ms = schedule.end_ms(source.start_ms, speed, seconds)
    header = (h.SOURCE, f"labels-{source.name}".encode())
    try:
        known = await reader.read_back()
        late_ms = past_limit_ms(speed)
        feed = LabelFeed(source, office, len(partitions[DECISIONS]), end_ms, late_ms, known)
        complete, report_at = False, 0.0
        while not stop.is_set() and not complete:
            for partition, outcome in await reader.poll():
                feed.decided(partition, outcome)
            if not await reader.caught_up():
                continue
            segment, now_ms = reader.clock.current, reader.clock.now_ms(time.time() * 1000)
            if segment.speed > 0:
                complete = now_ms >= end_ms + SETTLE_S * 1000 * segment.speed and (
                    reader.quiet_s > QUIET_S or await reader.all_decided(feed.last_source)
                )
                wait_ms = 0 if complete else round(UNDECIDED_S * 1000 * segment.speed)
                for label in feed.due(now_ms, segment, wait_ms):
                    outbox.wait_for_room()
                    headers = [(h.SEGMENT, h.encode_int(segment.number)), header]
                    outbox.hand_over(LABELS, label.card_id.encode(), encoder.encode(label), headers)
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
            fetch_min_bytes=128 * 1024,  # nobody waits for a label: few, large fetches
            fetch_max_wait_ms=250,
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
        self._consumer.assign(self._labels)
        ends = await self._consumer.end_offsets(self._labels)
        await self._consumer.seek_to_beginning(*self._labels)
        while any([await self._consumer.position(tp) < ends[tp] for tp in self._labels]):
            for records in (await self._consumer.getmany(timeout_ms=POLL_MS)).values():
                for record in records:
                    try:
                        known.add(_key(decode_label(record.value)))
                    except (msgspec.DecodeError, TypeError):
                        continue  # somebody else's; the workers set it aside
        self._consumer.assign(self._live)
        self._ends = await self._consumer.end_offsets(self._live)
        await self._consumer.seek_to_beginning(*self._live)
        return known

    async def caught_up(self) -> bool:
        """Whether everything has been read that the log held when reading began."""
        for tp in list(self._ends):
            if await self._consumer.position(tp) >= self._ends[tp]:
                del self._ends[tp]
        return not self._ends

    async def all_decided(self, last_source: Sequence[int]) -> bool:
        """Whether the decisions read are as far as the transactions in the log."""
        ends = await self._consumer.end_offsets(self._transactions)
        return all(last_source[tp.partition] + 1 >= end for tp, end in ends.items())

    async def poll(self) -> list[tuple[int, Outcome]]:
        """Decisions that have come in, with their partitions; clock segments go to `clock`."""
        outcomes = []
        for tp, records in (await self._consumer.getmany(timeout_ms=POLL_MS)).items():
            for record in records:
                if tp.topic == CLOCK:
                    self.clock.add(PlacedSegment(decode_segment(record.value), record.timestamp))
                else:
                    outcomes.append((tp.partition, _decode_outcome(record.value)))
                    self._decided_at = time.monotonic()
        return outcomes


_SENT = metrics.LABELS.labels(stage="sent", outcome="ok")


def run_feed(*args: Any, **kwargs: Any) -> FeedReport:
    """`feed_labels` to its end."""
    return asyncio.run(feed_labels(*args, **kwargs))
