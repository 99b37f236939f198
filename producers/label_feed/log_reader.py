"""What the label feed reads from Kafka: decisions, the clock, and once the labels that the log holds."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import msgspec
import structlog
from aiokafka import TopicPartition

from fraudsim import metrics
from fraudsim.log.acceptance import Acceptance, Rejected, read_event
from fraudsim.log.clock import Clock
from fraudsim.log.clock_log import ClockLog
from fraudsim.log.consumer import FetchPlan, TopicReader, open_reader
from fraudsim.log.topics import DECISIONS, LABELS, TRANSACTIONS
from fraudsim.settings import Settings
from producers.controls.control_log import ControlLog
from producers.controls.controls import Placement
from producers.label_feed.feed import LabelKey, key_of
from producers.labels.outcome import DecidedPayment
from producers.sender.log_ends import STRAGGLER_WAIT_S

POLL_MS: Final = 100
LONGEST_POLL_S: Final = 1.0
"""More than that between two polls was a pause."""
_PLAN: Final = FetchPlan(wait_ms=100, min_bytes=128 * 1024, max_records=2_000)
"""A tenth of a second late is soon enough to block a card; the rest are few, large fetches."""
_log = structlog.get_logger()
E = TypeVar("E")
_decode = msgspec.json.Decoder(DecidedPayment).decode


class FeedLogReader:
    """First `read_labels`, then `poll` for decisions and the clock."""

    def __init__(
        self,
        reader: TopicReader,
        clock_log: ClockLog,
        partitions: Mapping[str, Sequence[int]],
        control_log: ControlLog | None = None,
    ) -> None:
        """Without a `control_log` there are no controls."""
        self._reader = reader
        self._clock_log = clock_log
        self._controls = control_log
        self._placements_given = 0
        self._labels = [TopicPartition(LABELS, p) for p in partitions[LABELS]]
        self._transactions = [TopicPartition(TRANSACTIONS, p) for p in partitions[DECISIONS]]
        self._decisions = [TopicPartition(DECISIONS, p) for p in partitions[DECISIONS]]
        self._polled_at = time.monotonic()
        self.quiet_s = 0.0
        """Wall seconds without a decision. A pause of this process counts for one: what came meanwhile is
        still unread."""
        self._ends: dict[TopicPartition, int] = {}
        self._transaction_ends: dict[TopicPartition, int] = {}

    @property
    def clock(self) -> Clock:
        """As far as it goes before the decisions that were polled."""
        return self._clock_log.clock

    @classmethod
    @asynccontextmanager
    async def open(
        cls, settings: Settings, partitions: Mapping[str, Sequence[int]]
    ) -> AsyncIterator["FeedLogReader"]:
        """A reader of these partitions, by topic."""
        labels = [TopicPartition(LABELS, p) for p in partitions[LABELS]]
        async with open_reader(settings.kafka_bootstrap, labels, _PLAN) as reader:
            clock_log = ClockLog(settings.kafka_bootstrap, Clock())
            control_log = ControlLog(settings.kafka_bootstrap) if settings.controls else None
            try:
                yield cls(reader, clock_log, partitions, control_log)
            finally:
                await clock_log.close()
                if control_log is not None:
                    await control_log.close()

    async def read_labels(self) -> dict[LabelKey, int]:
        """Read every label in the log, then turn to decisions, from their beginning.

        Labels that are not valid do not count: they are dead letters, and must be sent again.

        Returns the event time at which each is known.
        """
        labels: dict[LabelKey, int] = {}
        acceptance = Acceptance(self.clock)
        await self._read_from_beginning(self._labels)
        grew = True
        while grew:  # until no label of a killed feed arrives any more
            async for tp, records, _ in self._reader.read_until(self._ends):
                await self._clock_log.catch_up_for(records)
                for r in records:
                    label = acceptance.label(tp.partition, r.offset, r.timestamp, r.headers, r.value)
                    if not isinstance(label, Rejected):
                        labels.setdefault(key_of(label), label.known_at)
            await asyncio.sleep(STRAGGLER_WAIT_S)
            self._ends = await self._reader.ends()
            grew = not await self.caught_up()
        await self._read_from_beginning(self._decisions)
        return labels

    async def _read_from_beginning(self, tps: Sequence[TopicPartition]) -> None:
        """Assign partitions from their beginning, and note their present ends for `caught_up`."""
        self._reader.assign(tps)
        self._ends = await self._reader.ends()
        await self._reader.seek_to_begins()

    async def caught_up(self) -> bool:
        """Whether everything has been read that the log held when reading began."""
        if self._ends:
            positions = await self._reader.positions()
            self._ends = {tp: end for tp, end in self._ends.items() if positions[tp] < end}
        return not self._ends

    async def all_decided(self, last_source: Mapping[int, int]) -> bool:
        """Whether every transaction in the log has been decided.

        Args:
            last_source: offset of the last decided transaction, by partition.
        """
        ends = await self._reader.ends(self._transactions)
        return all(last_source[tp.partition] + 1 >= end for tp, end in ends.items())

    async def poll(self) -> list[tuple[int, DecidedPayment]]:
        """New decisions, each with its partition; `clock` is read to its end."""
        polled = await self._reader.poll(POLL_MS)
        before, self._polled_at = self._polled_at, time.monotonic()
        self.quiet_s = 0.0 if polled else self.quiet_s + min(self._polled_at - before, LONGEST_POLL_S)
        await self._clock_log.catch_up()
        decisions: list[tuple[int, Any, DecidedPayment]] = []
        for tp, records in polled.items():
            decisions += [(tp.partition, record, payment) for record, payment in _readable(records, _decode)]
        if any(payment.source_offset >= self._end(partition) for partition, _, payment in decisions):
            self._transaction_ends = await self._reader.ends(self._transactions)
        return [
            (partition, payment)
            for partition, record, payment in decisions
            if self._is_plausible(partition, record, payment)
        ]

    async def new_placements(self) -> list[Placement]:
        """What became part of the stream since the last call: of every decision that was polled, the attack
        is among it."""
        if self._controls is None:
            return []
        await self._controls.catch_up()
        placements = self._controls.controls.placements[self._placements_given :]
        self._placements_given += len(placements)
        return placements

    def _end(self, partition: int) -> int:
        return self._transaction_ends.get(TopicPartition(TRANSACTIONS, partition), 0)

    def _is_plausible(self, partition: int, record: Any, payment: DecidedPayment) -> bool:
        """Whether a decision can be one of a transaction in the log.

        A forged one must not make the feed read its source to the end of time, or take all later decisions of
        the partition for repetitions.
        """
        latest_ms = self.clock.latest_ms(record.timestamp)
        if latest_ms is not None and payment.ts <= latest_ms and payment.source_offset < self._end(partition):
            return True
        metrics.TRANSACTIONS.labels("label_feed", "invalid").inc()
        _log.warning(
            "decision_ignored",
            partition=partition,
            offset=record.offset,
            ts=payment.ts,
            source_offset=payment.source_offset,
            next_step="find out who writes to decisions beside the scorer",
        )
        return False


def _readable(records: Iterable[Any], decode: Callable[[bytes], E]) -> Iterator[tuple[Any, E]]:
    """The records that can be read, each with its event."""
    for record in records:
        event = read_event(record.value, decode)
        if not isinstance(event, Rejected):
            yield record, event
