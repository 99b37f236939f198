"""Faust's Kafka transport, changed in two ways: one event per poll and partition, and no committed offsets.

A stock agent spends some 127 µs of asyncio on every message. Here an event carries the whole list of
records that one poll brought from a partition, which costs a few µs a record. Kafka's committed offsets do
not decide where reading starts: the watermark stored beside the state does. So commits do nothing, and the
inbox asks for a rewind when it needs one.

Offsets alone do not distinguish a lost record from an offset that never held one (a transaction's marker).
So each delivery states the range of offsets in which its records are complete.
"""

import asyncio
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any, Final

import faust
from aiokafka.structs import ConsumerRecord
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from fraudsim.log.consumer import shared_poll
from fraudsim.log.decoding.fetching import decode_within_bounds
from stream_features.worker.inbox import Delivery, Inbox

POLL_EVERY_S: Final = 0.16
"""Interval between polls while traffic is low. The scorers' unfolded log makes up for the delay, and a broker
that is polled six times a second, not five hundred, leaves the CPU to latency-critical processes."""
BUSY_RECORDS: Final = 500
"""After a poll of at least this many records the next follows at once."""
FETCH_WAIT_MS: Final = 300
"""How long the broker holds an empty fetch: an idle worker's knowledge of the log's end is this old."""


MAX_POLL: Final = 2_000
"""Records of one poll, shared over the partitions."""


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

    async def _fetch_records(
        self, consumer: Any, active_partitions: set[TP], timeout: float = 0.0, max_records: int = MAX_POLL
    ) -> dict[TP, RecordRun]:
        seek_count, before, assignment = self._seek_count, positions(consumer), assignment_of(consumer)
        fetch = super()._fetch_records

        def undisturbed() -> bool:
            return self._seek_count == seek_count and assignment_of(consumer) is assignment

        async def take(tps: Sequence[Any], wait_ms: int, most: int) -> Any:
            # The first call may wait, and so meet a seek or a new assignment; nothing is added after those.
            if not wait_ms and not (undisturbed() and is_assigned(consumer)):
                return {}
            return await fetch(consumer, set(tps), wait_ms / 1000, most)

        polled = await shared_poll(
            take, sorted(active_partitions), max(1, round(1000 * timeout)), max_records
        )
        return record_runs(polled, before if undisturbed() else {}, positions(consumer))

    def read_position(self, tp: TP) -> int | None:
        """The next offset to read; None where there is none, as during a rebalance."""
        return positions(self._ensure_consumer()).get(tp)


def is_assigned(consumer: Any) -> bool:
    """Whether no rebalance is under way: aiokafka would wait for its end."""
    return not consumer._subscription.reassignment_in_progress


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
    """Delivers lists, seeks to the inbox's offsets, commits nothing."""

    transport: "WholePollTransport"

    @property
    def inbox(self) -> Inbox:
        return self.transport.inbox

    def _new_consumer_thread(self) -> RecordRunThread:
        return RecordRunThread(self, loop=self.loop, beacon=self.beacon)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        # Reading waits at the log's end: the loop rewinds as soon as it owns a slot.
        self.inbox.mark_position_lost()
        ends = await self._thread.highwaters(*self.assignment())
        await self._thread.seek_wait(dict(ends))
        # The seek has undone a rewind that was taken meanwhile.
        self.inbox.mark_position_lost()
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
        offsets = self.inbox.take_rewind()
        if offsets is not None:
            await self._thread.seek_wait(dict(offsets))

    async def _deliver(self, records: Mapping[TP, RecordRun], active: set[TP] | None) -> None:
        generation, epoch = self.app.consumer_generation_id, self.inbox.epoch
        for tp, run in records.items():
            if not (active is None or tp in active or tp in self._buffered_partitions):
                continue
            if self.app.consumer_generation_id != generation or not self.flow_active:
                self.inbox.mark_position_lost()
                return
            message = self._to_message(tp, run[-1] if run else _marker(tp, run.end - 1))
            message.value = Delivery(epoch, tp.topic, tp.partition, run, run.first, run.end)
            await self.wait_first(self.callback(message), self.suspend_flow.wait())
            self._read_offset[tp] = run.end - 1


def _marker(tp: TP, offset: int) -> Any:
    """A stand-in for a record: Faust needs one for a message."""
    return ConsumerRecord(tp.topic, tp.partition, offset, 0, 0, None, None, None, -1, -1, ())


class WholePollTransport(driver.Transport):
    """The transport to set as `app.transport`; it fills an inbox, which says where to read."""

    Consumer = WholePollConsumer

    def __init__(self, url: Any, app: Any, inbox: Inbox) -> None:
        super().__init__(url, app)
        decode_within_bounds()
        self.inbox = inbox
