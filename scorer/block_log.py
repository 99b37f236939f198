"""The blocks of cards as the log gives them: its labels, read by every scorer process, and the history's end.

A decision records how far the labels were read, so that its block follows from the log alone.
"""

import asyncio
import time
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import Any, Final

from aiokafka import TopicPartition

from fraudsim import metrics
from fraudsim.log.acceptance import Acceptance, Rejected
from fraudsim.log.clock import Clock, wall_time_ms
from fraudsim.log.clock_log import ClockLog
from fraudsim.log.consumer import FetchPlan, TopicReader, open_reader
from fraudsim.log.events import Block, Label
from fraudsim.log.topics import LABELS
from fraudsim.settings import Settings
from producers.labels.blocks import CardBlocks

_PLAN: Final = FetchPlan(max_records=2_000)
_START_MARGIN_MS: Final = 60_000
"""Wall time by which reading begins earlier than the clock says is needed."""


class BlockLog:
    """Reads all labels, without a group, and tells which card is blocked.

    Args:
        block_ms: event time for which a card is blocked; with 0 nothing is read.
    """

    def __init__(self, settings: Settings, clock_log: ClockLog, block_ms: int) -> None:
        self._settings = settings
        self._clock_log = clock_log
        self._block_ms = block_ms
        self._blocks = CardBlocks(block_ms)
        self._acceptance = Acceptance(clock_log.clock)
        self._tps = [TopicPartition(LABELS, p) for p in range(settings.partitions if block_ms else 0)]
        self._filled = asyncio.Event()
        self._open = AsyncExitStack()
        self.labels_to: list[int] = [-1] * len(self._tps)
        """Last offset read, by partition; empty where nothing is read."""
        self.history_read = not block_ms
        """Whether the history's reports have been added; before that, a block may be missing."""

    def at(self, card_id: str, ts: int) -> Block | None:
        """The block of a card for a transaction at an event time."""
        return self._blocks.at(card_id, ts)

    async def await_filled(self) -> None:
        """Wait until all has been read that the log held when reading began; decide nothing before that."""
        await self._filled.wait()

    def add_history(self, labels: Iterable[Label]) -> None:
        """Add what was reported before the log began; its order among the log's labels does not matter."""
        for label in labels:
            self._blocks.add(label)
        self.history_read = True

    def prune(self) -> None:
        """Forget the blocks that have ended for every transaction that the log still accepts."""
        clock = self._clock_log.clock
        self._blocks.prune(clock.now_ms(time.time() * 1000) - clock.current.past_ms)
        metrics.CARD_BLOCKS.set(len(self._blocks))
        metrics.CARD_BLOCKS_DROPPED.set(self._blocks.dropped)

    async def run(self) -> None:
        """Read for ever."""
        if not self._tps:
            self._filled.set()
            await asyncio.Event().wait()
        reader = await self._open.enter_async_context(
            open_reader(
                self._settings.kafka_bootstrap, self._tps, _PLAN, f"{self._settings.scorer_name}-labels"
            )
        )
        fill_to = await self._seek(reader)
        lag = metrics.CONSUMER_LAG.labels(self._settings.scorer_name, LABELS)
        while True:
            polled = await reader.poll()
            await self._clock_log.catch_up_for(record for records in polled.values() for record in records)
            positions = await reader.positions()
            for tp, records in polled.items():
                for record in records:
                    self._add(tp.partition, record)
            for tp, position in positions.items():
                self.labels_to[tp.partition] = max(self.labels_to[tp.partition], position - 1)
            if all(self.labels_to[tp.partition] + 1 >= end for tp, end in fill_to.items()):
                self._filled.set()
            ends = reader.known_ends().items()
            lag.set(sum(max(0, end - 1 - self.labels_to[tp.partition]) for tp, end in ends))

    async def stop(self) -> None:
        await self._open.aclose()

    def _add(self, partition: int, record: Any) -> None:
        label = self._acceptance.label(
            partition, record.offset, record.timestamp, record.headers, record.value
        )
        if not isinstance(label, Rejected):
            self._blocks.add(label)

    async def _seek(self, reader: TopicReader) -> dict[TopicPartition, int]:
        """Begin at the first label that may still block a card, or some records before it.

        Returns the log's present ends.
        """
        begins, ends = await reader.begins(), await reader.ends()
        wall_ms = needed_from_ms(self._clock_log.clock, time.time() * 1000, self._block_ms)
        starts = dict(begins)
        if wall_ms is not None:
            first_needed = await reader.offsets_at(round(wall_ms) - _START_MARGIN_MS)
            for tp, offset in first_needed.items():
                starts[tp] = ends[tp] if offset is None else max(begins[tp], offset)
        for tp, start in starts.items():
            starts[tp] = self._acceptance.begin(LABELS, tp.partition, start, begins[tp])
            self.labels_to[tp.partition] = starts[tp] - 1
        reader.seek(starts)
        return ends


def needed_from_ms(clock: Clock, wall_ms: float, block_ms: int) -> float | None:
    """Wall time from which the log's labels may still block a card; None for its beginning."""
    now = clock.current
    needed_ms = clock.now_ms(wall_ms) - block_ms - now.past_ms - now.future_ms
    for segment in reversed(clock.segments):
        if segment.speed > 0 and segment.event_epoch_ms <= needed_ms:
            return wall_time_ms(segment, needed_ms)
    return None
