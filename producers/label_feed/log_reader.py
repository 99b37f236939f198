"""What the label feed reads from Kafka: decisions, the clock, and once the labels that the log holds."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import msgspec
from aiokafka import TopicPartition

from fraudsim.log.acceptance import Rejected, read_event
from fraudsim.log.clock import Clock
from fraudsim.log.clock_log import add_segments
from fraudsim.log.consumer import FetchPlan, TopicReader, open_reader
from fraudsim.log.events import decode_label
from fraudsim.log.topics import CLOCK, DECISIONS, LABELS, TRANSACTIONS
from fraudsim.settings import Settings
from producers.label_feed.feed import LabelKey, key_of
from producers.labels.back_office import Outcome
from producers.sender.log_ends import STRAGGLER_WAIT_S

POLL_MS: Final = 500
_PLAN: Final = FetchPlan(wait_ms=500, min_bytes=512 * 1024, max_records=2_000)
"""The latency of labels does not matter: few, large fetches."""
E = TypeVar("E")
_decode = msgspec.json.Decoder(Outcome).decode


class FeedLogReader:
    """First `read_labels`, then `poll` for decisions and the clock."""

    def __init__(self, reader: TopicReader, partitions: Mapping[str, Sequence[int]]) -> None:
        self._reader = reader
        self._labels = [TopicPartition(LABELS, p) for p in partitions[LABELS]]
        self._transactions = [TopicPartition(TRANSACTIONS, p) for p in partitions[DECISIONS]]
        self._live = [TopicPartition(topic, p) for topic in (DECISIONS, CLOCK) for p in partitions[topic]]
        self._last_decision_at = time.monotonic()
        self._ends: dict[TopicPartition, int] = {}
        self.clock = Clock()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, settings: Settings, partitions: Mapping[str, Sequence[int]]
    ) -> AsyncIterator["FeedLogReader"]:
        """A reader of these partitions, by topic."""
        labels = [TopicPartition(LABELS, p) for p in partitions[LABELS]]
        async with open_reader(settings.kafka_bootstrap, labels, _PLAN) as reader:
            yield cls(reader, partitions)

    @property
    def quiet_s(self) -> float:
        """Wall seconds since the last decision."""
        return time.monotonic() - self._last_decision_at

    async def read_labels(self) -> set[LabelKey]:
        """Read every label in the log, then turn to decisions and clock, from their beginning."""
        labels: set[LabelKey] = set()
        await self._read_from_beginning(self._labels)
        grew = True
        while grew:  # until no label of a killed feed arrives any more
            async for _, records, _ in self._reader.read_until(self._ends):
                labels.update(key_of(label) for label in _readable(records, decode_label))
            await asyncio.sleep(STRAGGLER_WAIT_S)
            self._ends = await self._reader.ends()
            grew = not await self.caught_up()
        await self._read_from_beginning(self._live)
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

    async def poll(self) -> list[tuple[int, Outcome]]:
        """New decisions, each with its partition; clock segments are added to `clock`."""
        outcomes: list[tuple[int, Outcome]] = []
        for tp, records in (await self._reader.poll(POLL_MS)).items():
            if tp.topic == CLOCK:
                add_segments(self.clock, records)
            else:
                outcomes += [(tp.partition, outcome) for outcome in _readable(records, _decode)]
                self._last_decision_at = time.monotonic()
        return outcomes


def _readable(records: Iterable[Any], decode: Callable[[bytes], E]) -> Iterator[E]:
    """The events of the records that can be read."""
    for record in records:
        event = read_event(record.value, decode)
        if not isinstance(event, Rejected):
            yield event
