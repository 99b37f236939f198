"""Faust's Kafka transport, changed in two ways: one event per poll and partition, and no committed offsets.

A stock agent spends some 127 µs of asyncio on every message. Here an event carries the whole list of
records that one poll brought from a partition, which costs a few µs a record. And where reading starts
is not Kafka's to say: the watermark stored beside the state is the authority, so commits do nothing,
and the feed asks for a rewind when it needs one.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, Protocol

import faust
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

POLL_EVERY_S: Final = 0.08
"""When little comes, records wait this long for company: the reader's tail makes up for it, and a broker
that is asked a dozen times a second, not five hundred, leaves the machine to those who are waited for."""
BUSY_RECORDS: Final = 500
"""A poll that brings this many is followed by the next at once."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one poll brought from one partition."""

    epoch: int
    """Counts the rewinds: records fetched before the last one are of an older epoch."""
    topic: str
    partition: int
    records: list[Any]
    """aiokafka records, in offset order."""


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


class WholePollConsumer(driver.Consumer):
    """Delivers lists, seeks where the feed says, commits nothing."""

    feed: Feed

    async def seek_to_committed(self) -> Mapping[TP, int]:
        # Reading stands at the end and waits: the feed rewinds as soon as it owns a slot.
        self.feed.lost_place()
        ends = await self._thread.highwaters(*self.assignment())
        await self._thread.seek_wait(dict(ends))
        return ends

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        return False

    def verify_event_path(self, now: float, tp: TP) -> None:
        return None

    def looked_at_ms(self, tp: TP) -> int:
        """When the broker last said where a partition ends (`highwater`), wall clock; 0 if it never did."""
        return int(self._thread._ensure_consumer().last_poll_timestamp(tp) or 0)

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

    async def _deliver(self, records: Mapping[TP, list[Any]], active: set[TP] | None) -> None:
        generation, epoch = self.app.consumer_generation_id, self.feed.epoch
        for tp, batch in records.items():
            if not batch or not (active is None or tp in active or tp in self._buffered_partitions):
                continue
            if self.app.consumer_generation_id != generation or not self.flow_active:
                self.feed.lost_place()
                return
            message = self._to_message(tp, batch[-1])
            message.value = Delivery(epoch, tp.topic, tp.partition, batch)
            await self.wait_first(self.callback(message), self.suspend_flow.wait())
            self._read_offset[tp] = batch[-1].offset


class WholePollTransport(driver.Transport):
    """To be set as `app.transport`, with the feed that steers it."""

    Consumer = WholePollConsumer

    def __init__(self, url: Any, app: Any, feed: Feed) -> None:
        super().__init__(url, app)
        self._feed = feed

    def create_consumer(self, callback: Any, **kwargs: Any) -> WholePollConsumer:
        consumer: WholePollConsumer = super().create_consumer(callback, **kwargs)
        consumer.feed = self._feed
        return consumer
