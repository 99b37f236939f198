"""Faust's Kafka transport, changed in two ways: one event per poll and partition, and no committed offsets.

A stock agent spends some 127 µs of asyncio on every message. Here an event carries the whole list of
records that one poll brought from a partition, which costs a few µs a record. Kafka's committed offsets do
not decide where reading starts: the watermark stored beside the state does. So commits do nothing, and the
feed asks for a rewind when it needs one.

Offsets alone do not distinguish a lost record from an offset that never held one (a transaction's marker).
So each delivery states the range of offsets in which its records are complete.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, Protocol

import faust
from aiokafka.structs import ConsumerRecord
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from fraudsim.log.lenient_records import read_past_unreadable_headers

POLL_EVERY_S: Final = 0.16
"""Interval between polls while traffic is low. The scorers' unfolded log makes up for the delay, and a broker
that is polled six times a second, not five hundred, leaves the CPU to latency-critical processes."""
BUSY_RECORDS: Final = 500
"""After a poll of at least this many records the next follows at once."""
FETCH_WAIT_MS: Final = 300
"""How long the broker holds an empty fetch: an idle worker's knowledge of the log's end is this old."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The records that one poll returned from one partition."""

    epoch: int
    """Number of rewinds so far: records fetched before the last rewind have a lower epoch."""
    topic: str
    partition: int
    records: list[Any]
    """aiokafka records, in offset order; empty where the poll passed only markers."""
    first: int
    """`records` are complete from this offset on …"""
    end: int
    """… up to this one, exclusive."""


class Feed(Protocol):
    """Decides where reading goes on."""

    epoch: int

    def take_rewind(self) -> Mapping[TP, int] | None:
        """The offsets to seek to, or None; each rewind once. Later deliveries carry the new `epoch`."""
        ...

    def mark_position_lost(self) -> None:
        """Record that a rebalance moved or interrupted reading: a rewind is due."""
        ...


class WholePollSchema(faust.Schema):
    """Passes the list of records through undecoded."""

    def loads_key(self, app: Any, message: Any, **_: Any) -> Any:
        return None

    def loads_value(self, app: Any, message: Any, **_: Any) -> Any:
        return message.value


class RecordRun(list[Any]):
    """The records of one partition between the offsets `first` and `end`, exclusive, without a gap."""

    def __init__(self, records: list[Any], first: int, end: int) -> None:
        super().__init__(records)
        self.first = first
        self.end = end


class RecordRunThread(driver.AIOKafkaConsumerThread):
    """Polls runs of records: aiokafka skips no record unless a seek or a new assignment intervenes."""

    _seek_count = 0

    def _create_worker_consumer(self, transport: driver.Transport) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # Faust fixes it at 1,500
        return consumer

    async def _seek_wait(self, consumer: Any, partitions: Mapping[TP, int]) -> None:
        self._seek_count += 1
        await super()._seek_wait(consumer, partitions)

    async def _fetch_records(self, consumer: Any, *args: Any, **kwargs: Any) -> dict[TP, RecordRun]:
        seek_count, before = self._seek_count, positions(consumer)
        assignment = assignment_of(consumer)
        polled = await super()._fetch_records(consumer, *args, **kwargs)
        if self._seek_count != seek_count or assignment_of(consumer) is not assignment:
            before = {}
        return record_runs(polled, before, positions(consumer))

    def read_position(self, tp: TP) -> int | None:
        """The next offset to read; None where there is none, as during a rebalance."""
        return positions(self._ensure_consumer()).get(tp)


def assignment_of(consumer: Any) -> Any:
    """aiokafka's present assignment of a consumer; None if it has none."""
    subscription = consumer._subscription.subscription
    return subscription and subscription.assignment


def positions(consumer: Any) -> dict[TP, int]:
    """An aiokafka consumer's positions, by partition. Its own `position` would wait for a missing one."""
    assignment = assignment_of(consumer)
    if assignment is None:
        return {}
    states = {tp: assignment.state_value(tp) for tp in assignment.tps}
    return {tp: state.position for tp, state in states.items() if state and state.has_valid_position}


def record_runs(
    polled: Mapping[TP, list[Any]], before: Mapping[TP, int], after: Mapping[TP, int]
) -> dict[TP, RecordRun]:
    """The runs of records polled between two sets of positions.

    Args:
        before: positions by partition; without one, a run starts at its first record.
        after: positions by partition.
    """
    runs = {
        tp: RecordRun(records, before.get(tp, records[0].offset), records[-1].offset + 1)
        for tp, records in polled.items()
    }
    for tp, first in before.items():
        end = after.get(tp, first)
        if tp in runs:
            runs[tp].end = max(runs[tp].end, end)
        elif end > first:
            runs[tp] = RecordRun([], first, end)
    return runs


class WholePollConsumer(driver.Consumer):
    """Delivers lists, seeks to the feed's offsets, commits nothing."""

    feed: Feed

    def _new_consumer_thread(self) -> RecordRunThread:
        return RecordRunThread(self, loop=self.loop, beacon=self.beacon)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        # Reading waits at the log's end: the feed rewinds as soon as it owns a slot.
        self.feed.mark_position_lost()
        ends = await self._thread.highwaters(*self.assignment())
        await self._thread.seek_wait(dict(ends))
        # The seek has undone a rewind that was taken meanwhile.
        self.feed.mark_position_lost()
        return ends

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        return False

    def verify_event_path(self, now: float, tp: TP) -> None:
        return None

    def end_checked_at_ms(self, tp: TP) -> int:
        """Wall-clock time at which the broker last stated a partition's end (`highwater`); 0: never."""
        return int(self._thread._ensure_consumer().last_poll_timestamp(tp) or 0)

    def read_position(self, tp: TP) -> int | None:
        """The next offset to read; None where there is none, as during a rebalance."""
        return self._thread.read_position(tp)

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):
                await self._rewind_if_due()
                polled_at = monotonic()
                records, active = await self._wait_next_records(timeout=0.5)
                if records is None or self.should_stop:
                    continue
                if not self.flow_active:
                    await self.perform_seek()
                    continue
                await self._deliver(records, active)
                if sum(map(len, records.values())) < BUSY_RECORDS:
                    await asyncio.sleep(POLL_EVERY_S - (monotonic() - polled_at))
        except self.consumer_stopped_errors:
            if not self.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not self.app.should_stop:
                raise

    async def _rewind_if_due(self) -> None:
        offsets = self.feed.take_rewind()
        if offsets is not None:
            await self._thread.seek_wait(dict(offsets))

    async def _deliver(self, records: Mapping[TP, RecordRun], active: set[TP] | None) -> None:
        generation, epoch = self.app.consumer_generation_id, self.feed.epoch
        for tp, run in records.items():
            if not (active is None or tp in active or tp in self._buffered_partitions):
                continue
            if self.app.consumer_generation_id != generation or not self.flow_active:
                self.feed.mark_position_lost()
                return
            message = self._to_message(tp, run[-1] if run else _marker(tp, run.end - 1))
            message.value = Delivery(epoch, tp.topic, tp.partition, run, run.first, run.end)
            await self.wait_first(self.callback(message), self.suspend_flow.wait())
            self._read_offset[tp] = run.end - 1


def _marker(tp: TP, offset: int) -> Any:
    """A stand-in for a record: Faust needs one for a message."""
    return ConsumerRecord(tp.topic, tp.partition, offset, 0, 0, None, None, None, -1, -1, ())


class WholePollTransport(driver.Transport):
    """The transport to set as `app.transport`, steered by a feed."""

    Consumer = WholePollConsumer

    def __init__(self, url: Any, app: Any, feed: Feed) -> None:
        super().__init__(url, app)
        read_past_unreadable_headers()
        self._feed = feed

    def create_consumer(self, callback: Any, **kwargs: Any) -> WholePollConsumer:
        consumer: WholePollConsumer = super().create_consumer(callback, **kwargs)
        consumer.feed = self._feed
        return consumer
