"""The reader of `transactions` and `labels` behind the log's end, for features as of a lag ago.

The log itself is the buffer: a partition rests once a record has arrived so late that no later one can have
an event time before `now - lag`. So memory does not grow with the lag.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

from aiokafka import TopicPartition

from fraudsim import metrics
from fraudsim.errors import FraudsimError
from fraudsim.log.acceptance import Acceptance
from fraudsim.log.clock_log import ClockLog
from fraudsim.log.consumer import FetchPlan, TopicReader, open_reader
from fraudsim.log.events import Label, Transaction
from fraudsim.log.topics import LABELS, TRANSACTIONS
from fraudsim.settings import Settings
from stream_features.lagged.lagged_events import LaggedEvents
from stream_features.vector import SIZE

FETCH: Final = FetchPlan(max_records=2_000)
MAX_ROWS_KEPT: Final = 2_000_000
"""Rows kept apart from the bases, as 500,000 transactions have; beyond, the oldest are folded."""
REST_S: Final = 0.002
"""Pause while every partition rests."""


class LaggedLog:
    """Keeps `events` filled with what became known before `now - lag`."""

    def __init__(self, settings: Settings, clock_log: ClockLog, events: LaggedEvents, lag_ms: int) -> None:
        self._settings, self._clock_log = settings, clock_log
        self._acceptance = Acceptance(clock_log.clock, SIZE)
        self.events = events
        self._lag_ms = lag_ms
        partitions = range(settings.partitions)
        self._tps = [TopicPartition(topic, p) for topic in (TRANSACTIONS, LABELS) for p in partitions]
        self.ends = [-1] * len(self._tps)
        """Last offset read: of the partitions of `transactions`, then of `labels`."""
        self._arrived_ms = [-1] * len(self._tps)
        """Event time at which the last record read had arrived."""
        self._at_end = [False] * len(self._tps)
        self._resting: set[TopicPartition] = set()
        self._open = AsyncExitStack()
        self._reader: TopicReader

    async def start(self) -> None:
        """Read the log from its beginning to what is due now.

        Raises:
            FraudsimError: the log's beginning is gone.
        """
        name = f"{self._settings.scorer_name}-lagged"
        self._reader = await self._open.enter_async_context(
            open_reader(self._settings.kafka_bootstrap, self._tps, FETCH, name)
        )
        begins = await self._reader.begins()
        for tp, begin in begins.items():
            if begin:
                raise FraudsimError(
                    f"{tp.topic} partition {tp.partition} begins at offset {begin}: lagged features need the "
                    "whole log, so set FRAUDSIM_FEATURES_LAG=0s or start a new log"
                )
            self._acceptance.begin(tp.topic, tp.partition, 0, 0)
        self._reader.seek(begins)
        ends = await self._reader.ends()
        while not all(tp in self._resting or self.ends[i] + 1 >= ends[tp] for i, tp in enumerate(self._tps)):
            await self._poll()

    async def stop(self) -> None:
        await self._open.aclose()

    async def run(self) -> None:
        """Read for ever."""
        while True:
            await self._poll()
            metrics.HEARTBEAT.set_to_current_time()

    def has_read(self, until_ms: int) -> bool:
        """Whether all that can have an event time before `until_ms` has been read."""
        last_ms = until_ms + self._clock_log.clock.current.past_ms
        return all(
            at_end or arrived_ms >= last_ms
            for at_end, arrived_ms in zip(self._at_end, self._arrived_ms, strict=True)
        )

    async def _poll(self) -> None:
        segment = self._clock_log.clock.current
        now_ms = self._clock_log.clock.now_ms(time.time() * 1000)
        due_ms = now_ms - self._lag_ms + segment.past_ms + segment.future_ms
        full = self.events.rows >= MAX_ROWS_KEPT
        if full:
            self.events.fold_before(now_ms - self._lag_ms - segment.past_ms)
            full = self.events.rows >= MAX_ROWS_KEPT
        awake = {tp for i, tp in enumerate(self._tps) if self._arrived_ms[i] <= due_ms and not full}
        self._reader.resume(*(awake & self._resting))
        self._reader.pause(*(tp for tp in self._tps if tp not in awake))
        self._resting = set(self._tps) - awake
        if not awake:
            await asyncio.sleep(REST_S)
            return
        polled = await self._reader.poll()
        await self._clock_log.catch_up_for(record for records in polled.values() for record in records)
        positions = await self._reader.positions()
        known_ends = self._reader.known_ends()
        for i, tp in enumerate(self._tps):
            if tp in polled:
                self._add_records(i, tp, polled[tp])
            self.ends[i] = max(self.ends[i], positions[tp] - 1)
            self._at_end[i] = positions[tp] >= known_ends.get(tp, 0)

    def _add_records(self, source: int, tp: TopicPartition, records: Sequence[Any]) -> None:
        accept = self._acceptance.transaction if tp.topic == TRANSACTIONS else self._acceptance.label
        for record in records:
            event = accept(tp.partition, record.offset, record.timestamp, record.headers, record.value)
            if isinstance(event, Transaction):
                self.events.add_transaction(event)
            elif isinstance(event, Label):
                self.events.add_label(event)
        self.ends[source] = records[-1].offset
        self._arrived_ms[source] = self._clock_log.clock.now_ms(records[-1].timestamp)
