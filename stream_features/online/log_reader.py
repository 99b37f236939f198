"""The reader of all of `transactions`: it fills the unfolded log and delivers each record."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from aiokafka import TopicPartition

from fraudsim import metrics
from fraudsim.errors import InvariantError
from fraudsim.log.acceptance import UNIQUE_WITHIN, Acceptance, Rejected
from fraudsim.log.clock_log import ClockLog
from fraudsim.log.consumer import FetchPlan, TopicReader
from fraudsim.log.events import Transaction
from fraudsim.log.topics import TRANSACTIONS
from fraudsim.settings import Settings
from stream_features.online.unfolded_log import UnfoldedLog
from stream_features.vector import SIZE

FETCH: Final = FetchPlan(max_records=2_000)

OnRecord = Callable[[Any, "Transaction | Rejected", int], None]
"""Called with the Kafka record, its transaction or rejection, and the wall-clock time of receipt, µs."""


def log_partitions(settings: Settings) -> list[TopicPartition]:
    """All partitions of `transactions`."""
    return [TopicPartition(TRANSACTIONS, p) for p in range(settings.partitions)]


class LogReader:
    """Reads all partitions of `transactions`, without a group; accepts or rejects in offset order."""

    def __init__(
        self,
        settings: Settings,
        clock_log: ClockLog,
        unfolded: UnfoldedLog,
        on_record: OnRecord,
        reader: TopicReader,
    ) -> None:
        """`reader` is one of `log_partitions`, not yet started."""
        self._settings = settings
        self._clock_log = clock_log
        self._acceptance = Acceptance(clock_log.clock, SIZE)
        self._unfolded = unfolded
        self._on_record = on_record
        self._tps = log_partitions(settings)
        self._seeks: dict[int, int] = {}
        self._fill_to = [0] * settings.partitions
        self.next = [0] * settings.partitions
        """Next offset to be read, by partition."""
        self._reader = reader

    async def start(self, watermarks: list[int] | None) -> None:
        """Begin beyond the watermarks, by partition, and 50,000 records before that to find repeats.

        Without watermarks, begin as far back as the unfolded log can hold.
        """
        await self._reader.start()
        begins, ends = await self._reader.begins(), await self._reader.ends()
        capacity = self._settings.tail_max_records // len(self._tps)
        for partition, tp in enumerate(self._tps):
            first = ends[tp] - capacity if watermarks is None else watermarks[partition] + 1
            self._unfolded.begin(partition, max(first, begins[tp]))
            self._fill_to[partition] = ends[tp]
            self._seek_to(partition, self._unfolded.starts[partition], begins[tp])

    async def stop(self) -> None:
        await self._reader.stop()
        await self._clock_log.close()

    @property
    def filled(self) -> bool:
        """Whether all that the log held at the start has been read; nothing is decided before that."""
        return all(end + 1 >= to for end, to in zip(self._unfolded.ends, self._fill_to, strict=True))

    @property
    def read_offsets(self) -> Sequence[int]:
        """Last offset read, by partition."""
        return self._unfolded.ends

    def has_delivered(self, partition: int, offset: int) -> bool:
        """Whether every record up to an offset has been delivered and none will be delivered again."""
        return partition not in self._seeks and self.next[partition] > offset

    def redeliver_from(self, partition: int, offset: int) -> None:
        """Make sure that every record from `offset` on is delivered; some are delivered twice."""
        delivered = self.next[partition] > offset
        if delivered or self._acceptance.remembered_from(TRANSACTIONS, partition) > max(
            0, offset - UNIQUE_WITHIN
        ):
            self._seeks[partition] = offset

    async def run(self) -> None:
        """Read for ever."""
        while True:
            await self._apply_seeks()
            polled = await self._reader.poll()
            received_us = time.time_ns() // 1000
            await self._clock_log.catch_up_for(record for records in polled.values() for record in records)
            positions = await self._reader.positions()
            # No await from here on, so no new seek comes in between.
            for tp, position in positions.items():
                if tp.partition in self._seeks:
                    continue  # its records come again
                if tp in polled:
                    self._deliver(tp.partition, polled[tp], received_us)
                self._advance(tp.partition, position)
            ends = self._reader.known_ends().items()
            lag = sum(max(0, end - self.next[tp.partition]) for tp, end in ends)
            metrics.CONSUMER_LAG.labels(self._settings.scorer_name, TRANSACTIONS).set(lag)
            metrics.HEARTBEAT.set_to_current_time()

    async def _apply_seeks(self) -> None:
        if not self._seeks:
            return
        begins = await self._reader.begins()
        seeks, self._seeks = self._seeks, {}
        for partition, offset in seeks.items():
            self._seek_to(partition, offset, begins[self._tps[partition]])

    def _seek_to(self, partition: int, first: int, log_begin: int) -> None:
        """Seek so that repeats are recognised from offset `first` on."""
        offset = self._acceptance.begin(TRANSACTIONS, partition, max(first, log_begin), log_begin)
        self._reader.seek({self._tps[partition]: offset})
        self.next[partition] = offset

    def _deliver(self, partition: int, records: Sequence[Any], received_us: int) -> None:
        # Offsets may have gaps, as transaction markers are no records. Only `_seek_to` moves the reader back.
        if records[0].offset < self.next[partition]:
            raise InvariantError(
                f"partition {partition} goes on at offset {records[0].offset}, not {self.next[partition]}"
            )
        acceptance, unfolded = self._acceptance, self._unfolded
        for record in records:
            event = acceptance.transaction(
                partition, record.offset, record.timestamp, record.headers, record.value
            )
            if isinstance(event, Transaction):
                unfolded.add(partition, record.offset, event)
            unfolded.advance(partition, record.offset)
            self._on_record(record, event, received_us)
        self.next[partition] = records[-1].offset + 1

    def _advance(self, partition: int, position: int) -> None:
        """Pass the offsets without a record up to the consumer's position."""
        self.next[partition] = max(self.next[partition], position)
        self._unfolded.advance(partition, self.next[partition] - 1)
