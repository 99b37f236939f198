"""What the label feed reads from Kafka: decisions, the clock, and once the labels that the log holds."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

import msgspec

from fraudsim.log.acceptance import Rejected, read_event
from fraudsim.log.clock import Clock, LoggedSegment
from fraudsim.log.events import decode_label, decode_segment
from fraudsim.log.lenient_records import read_past_unreadable_headers
from fraudsim.log.topics import CLOCK, DECISIONS, LABELS, TRANSACTIONS
from fraudsim.settings import Settings
from producers.label_feed.feed import LabelKey, key_of
from producers.labels.back_office import Outcome
from producers.sender.log_ends import STRAGGLER_WAIT_S

POLL_MS: Final = 500
E = TypeVar("E")
_decode = msgspec.json.Decoder(Outcome).decode


class FeedLogReader:
    """One consumer: first `read_labels`, then `poll` for decisions and the clock."""

    def __init__(self, consumer: Any, partitions: dict[str, list[int]]) -> None:
        from aiokafka import TopicPartition

        self._consumer = consumer
        self._labels = [TopicPartition(LABELS, p) for p in partitions[LABELS]]
        self._transactions = [TopicPartition(TRANSACTIONS, p) for p in partitions[DECISIONS]]
        self._live = [TopicPartition(topic, p) for topic in (DECISIONS, CLOCK) for p in partitions[topic]]
        self._last_decision_at = time.monotonic()
        self._ends: dict[Any, int] = {}
        self.clock = Clock()

    @classmethod
    async def start(cls, settings: Settings, partitions: dict[str, list[int]]) -> "FeedLogReader":
        from aiokafka import AIOKafkaConsumer

        read_past_unreadable_headers()
        consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.kafka_bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_poll_records=2_000,
            fetch_min_bytes=512 * 1024,  # the latency of labels does not matter: few, large fetches
            fetch_max_wait_ms=500,
        )
        await consumer.start()
        return cls(consumer, partitions)

    async def stop(self) -> None:
        await self._consumer.stop()

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
            while not await self.caught_up():
                for records in (await self._consumer.getmany(timeout_ms=POLL_MS)).values():
                    labels.update(key_of(label) for label in _accepted(records, decode_label))
            await asyncio.sleep(STRAGGLER_WAIT_S)
            self._ends = await self._consumer.end_offsets(self._labels)
            grew = not await self.caught_up()
        await self._read_from_beginning(self._live)
        return labels

    async def _read_from_beginning(self, tps: list[Any]) -> None:
        """Assign partitions from their beginning, and note their current ends for `caught_up`."""
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
        """Whether every transaction in the log has been decided.

        Args:
            last_source: offset of the last decided transaction, by partition.
        """
        ends = await self._consumer.end_offsets(self._transactions)
        return all(last_source[tp.partition] + 1 >= end for tp, end in ends.items())

    async def poll(self) -> list[tuple[int, Outcome]]:
        """New decisions, each with its partition; clock segments are added to `clock`."""
        outcomes: list[tuple[int, Outcome]] = []
        for tp, records in (await self._consumer.getmany(timeout_ms=POLL_MS)).items():
            if tp.topic == CLOCK:
                for record in records:
                    self.clock.add(LoggedSegment(decode_segment(record.value), record.timestamp))
            else:
                outcomes += [(tp.partition, outcome) for outcome in _accepted(records, _decode)]
                self._last_decision_at = time.monotonic()
        return outcomes


def _accepted(records: Iterable[Any], decode: Callable[[bytes], E]) -> Iterator[E]:
    """The events of the records that can be read."""
    for record in records:
        event = read_event(record.value, decode)
        if not isinstance(event, Rejected):
            yield event
