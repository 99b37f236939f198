"""Faust's Kafka transport, changed in two ways: one event per poll and partition, and no committed offsets.

A stock agent spends some 127 µs of asyncio on every message. Here an event carries the whole list of
records that one poll brought from a partition, which costs a few µs a record. And where reading starts
is not Kafka's to say: the watermark stored beside the state is the authority, so commits do nothing,
and the feed asks for a rewind when it needs one.

Offsets alone do not tell what was lost on the way from what never was a record (a transaction's markers): so
each delivery says between which offsets its records are all there is.
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
"""When little comes, records wait this long for company: the reader's tail makes up for it, and a broker
that is asked six times a second, not five hundred, leaves the machine to those who are waited for."""
BUSY_RECORDS: Final = 500
"""A poll that brings this many is followed by the next at once."""
FETCH_WAIT_MS: Final = 300
"""The broker holds a fetch that finds nothing for so long: so old is what an idle worker knows of its end."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one poll brought from one partition."""

    epoch: int
    """Counts the rewinds: records fetched before the last one are of an older epoch."""
    topic: str
    partition: int
    records: list[Any]
    """aiokafka records, in offset order; none where only markers were passed."""
    first: int
    """From this offset on, `records` are all there is …"""
    end: int
    """… before this one."""


class Feed(Protocol):
    """Who decides where reading goes on."""

    epoch: int

    def take_rewind(self) -> Mapping[TP, int] | None:
        """The offsets to go on from, once, after which `epoch` marks what is delivered."""
        ...

    def lost_place(self) -> None:
        """Reading was moved or cut short by a rebalance: a rewind is due."""
        ...


class WholePollSchema(faust.Schema):
    """Hands the list of records through undecoded."""

    def loads_key(self, app: Any, message: Any, **_: Any) -> Any:
        return None

    def loads_value(self, app: Any, message: Any, **_: Any) -> Any:
        return message.value


class Stretch(list[Any]):
    """Records of one partition: all there are from offset `first` on before `end`."""

    def __init__(self, records: list[Any], first: int, end: int) -> None:
        super().__init__(records)
        self.first = first
        self.end = end


class StretchThread(driver.AIOKafkaConsumerThread):
    """Polls stretches: what aiokafka read without a seek in between leaves nothing out."""

    _seeks = 0

    def _create_worker_consumer(self, transport: driver.Transport) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # Faust says 1,500, and has no setting
        return consumer

    async def _seek_wait(self, consumer: Any, partitions: Mapping[TP, int]) -> None:
        self._seeks += 1
        await super()._seek_wait(consumer, partitions)

    async def _fetch_records(self, consumer: Any, *args: Any, **kwargs: Any) -> dict[TP, Stretch]:
        seeks, before = self._seeks, positions(consumer)
        assignment = assignment_of(consumer)
        polled = await super()._fetch_records(consumer, *args, **kwargs)
        if self._seeks != seeks or assignment_of(consumer) is not assignment:
            before = {}
        return stretches(polled, before, positions(consumer))

    def place(self, tp: TP) -> int | None:
        """The offset that reading has come to; None where it has none, as during a rebalance."""
        return positions(self._ensure_consumer()).get(tp)


def assignment_of(consumer: Any) -> Any:
    """aiokafka's record of the partitions a consumer has now; None if it has none."""
    subscription = consumer._subscription.subscription
    return subscription and subscription.assignment


def positions(consumer: Any) -> dict[TP, int]:
    """Where an aiokafka consumer stands, by partition. Its own `position` waits where it stands nowhere."""
    assignment = assignment_of(consumer)
    if assignment is None:
        return {}
    states = {tp: assignment.state_value(tp) for tp in assignment.tps}
    return {tp: state.position for tp, state in states.items() if state and state.has_valid_position}


def stretches(
    polled: Mapping[TP, list[Any]], before: Mapping[TP, int], after: Mapping[TP, int]
) -> dict[TP, Stretch]:
    """What was polled between two sets of positions.

    Args:
        before: by partition; without one, nothing is known of what stands before the first record.
        after: by partition.
    """
    found = {
        tp: Stretch(records, before.get(tp, records[0].offset), records[-1].offset + 1)
        for tp, records in polled.items()
    }
    for tp, first in before.items():
        end = after.get(tp, first)
        if tp in found:
            found[tp].end = max(found[tp].end, end)
        elif end > first:
            found[tp] = Stretch([], first, end)
    return found


class WholePollConsumer(driver.Consumer):
    """Delivers lists, seeks where the feed says, commits nothing."""

    feed: Feed

    def _new_consumer_thread(self) -> StretchThread:
        return StretchThread(self, loop=self.loop, beacon=self.beacon)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        # Reading stands at the end and waits: the feed rewinds as soon as it owns a slot.
        self.feed.lost_place()
        ends = await self._thread.highwaters(*self.assignment())
        await self._thread.seek_wait(dict(ends))
        # A rewind may have been taken meanwhile, and the seek has undone it.
        self.feed.lost_place()
        return ends

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        return False

    def verify_event_path(self, now: float, tp: TP) -> None:
        return None

    def looked_at_ms(self, tp: TP) -> int:
        """When the broker last said where a partition ends (`highwater`), wall clock; 0 if it never did."""
        return int(self._thread._ensure_consumer().last_poll_timestamp(tp) or 0)

    def place(self, tp: TP) -> int | None:
        """The offset that reading has come to; None where it has none, as during a rebalance."""
        return self._thread.place(tp)

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):
                await self._rewind_if_asked()
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

    async def _rewind_if_asked(self) -> None:
        offsets = self.feed.take_rewind()
        if offsets is not None:
            await self._thread.seek_wait(dict(offsets))

    async def _deliver(self, records: Mapping[TP, Stretch], active: set[TP] | None) -> None:
        generation, epoch = self.app.consumer_generation_id, self.feed.epoch
        for tp, batch in records.items():
            if not (active is None or tp in active or tp in self._buffered_partitions):
                continue
            if self.app.consumer_generation_id != generation or not self.flow_active:
                self.feed.lost_place()
                return
            message = self._to_message(tp, batch[-1] if batch else _marker(tp, batch.end - 1))
            message.value = Delivery(epoch, tp.topic, tp.partition, batch, batch.first, batch.end)
            await self.wait_first(self.callback(message), self.suspend_flow.wait())
            self._read_offset[tp] = batch.end - 1


def _marker(tp: TP, offset: int) -> Any:
    """What stands in for a record where there is none: Faust wants one for a message."""
    return ConsumerRecord(tp.topic, tp.partition, offset, 0, 0, None, None, None, -1, -1, ())


class WholePollTransport(driver.Transport):
    """To be set as `app.transport`, with the feed that steers it."""

    Consumer = WholePollConsumer

    def __init__(self, url: Any, app: Any, feed: Feed) -> None:
        super().__init__(url, app)
        read_past_unreadable_headers()
        self._feed = feed

    def create_consumer(self, callback: Any, **kwargs: Any) -> WholePollConsumer:
        consumer: WholePollConsumer = super().create_consumer(callback, **kwargs)
        consumer.feed = self._feed
        return consumer
