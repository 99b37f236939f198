"""Reading the whole transaction log into the tail, and telling whoever decides of every record."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from fraudsim import metrics
from fraudsim.errors import InvariantError
from fraudsim.log.acceptance import UNIQUE_WITHIN, Acceptance, Rejected
from fraudsim.log.clock_log import ClockLog
from fraudsim.log.events import Transaction
from fraudsim.log.lenient_records import read_past_unreadable_headers
from fraudsim.log.topics import TRANSACTIONS
from fraudsim.settings import Settings
from stream_features.online.unfolded_log import UnfoldedLog

MAX_POLL_RECORDS: Final = 2_000

OnRecord = Callable[[Any, "Transaction | Rejected", int], None]
"""Called with the Kafka record, the verdict, and the wall-clock time it was received, µs."""


class LogReader:
    """All partitions of `transactions`, without a group, judged in offset order."""

    def __init__(
        self, settings: Settings, clock_log: ClockLog, tail: UnfoldedLog, on_record: OnRecord
    ) -> None:
        self._settings = settings
        self._judge = Acceptance(clock_log.clock, clock_log.refresh)
        self._tail = tail
        self._on_record = on_record
        self._tps = [TopicPartition(TRANSACTIONS, p) for p in range(settings.partitions)]
        self._seeks: dict[int, int] = {}
        self._fill_to = [0] * settings.partitions
        self.next = [0] * settings.partitions
        """Next offset to be read, by partition."""
        self._consumer: Any = None

    async def start(self, watermarks: list[int] | None) -> None:
        """Begin with what lies beyond the watermarks (and, for uniqueness, 50,000 records before).

        None where nobody can say them: then as far back as the tail can hold.
        """
        read_past_unreadable_headers()
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka_bootstrap,
            enable_auto_commit=False,
            max_poll_records=MAX_POLL_RECORDS,
            auto_offset_reset="none",
            client_id=f"{self._settings.scorer_name}-log",
        )
        await self._consumer.start()
        self._consumer.assign(self._tps)
        begins = await self._consumer.beginning_offsets(self._tps)
        ends = await self._consumer.end_offsets(self._tps)
        held = self._settings.tail_max_records // len(self._tps)
        for partition, tp in enumerate(self._tps):
            beyond = ends[tp] - held if watermarks is None else watermarks[partition] + 1
            self._tail.begin(partition, max(beyond, begins[tp]))
            self._fill_to[partition] = ends[tp]
            self._go_to(partition, self._tail.starts[partition], begins[tp])

    async def stop(self) -> None:
        await self._consumer.stop()

    @property
    def filled(self) -> bool:
        """Whether the tail holds what the log held at the start: before that, nothing is decided."""
        return all(end + 1 >= to for end, to in zip(self._tail.ends, self._fill_to, strict=True))

    @property
    def read_to(self) -> Sequence[int]:
        """Last offset read so far, by partition."""
        return self._tail.ends

    def told(self, partition: int, offset: int) -> bool:
        """Whether all up to an offset has been told, and will not be told again."""
        return partition not in self._seeks and self.next[partition] > offset

    def tell_from(self, partition: int, offset: int) -> None:
        """See that every record of a partition from `offset` on is told of; some are told again."""
        told = self.next[partition] > offset
        if told or self._judge.remembered_from(TRANSACTIONS, partition) > max(0, offset - UNIQUE_WITHIN):
            self._seeks[partition] = offset

    async def run(self) -> None:
        """Read for ever."""
        while True:
            await self._seek()
            polled = await self._consumer.getmany(timeout_ms=200)
            received_us = time.time_ns() // 1000
            positions = {tp: await self._consumer.position(tp) for tp in self._tps}
            # Nothing is awaited from here on, so no new seek comes in between.
            for tp, position in positions.items():
                if tp.partition in self._seeks:
                    continue  # its records come again
                if tp in polled:
                    self._take(tp.partition, polled[tp], received_us)
                self._reach(tp.partition, position)
            ends = [self._consumer.highwater(tp) or 0 for tp in self._tps]
            lag = sum(max(0, end - at) for end, at in zip(ends, self.next, strict=True))
            metrics.CONSUMER_LAG.labels(self._settings.scorer_name, TRANSACTIONS).set(lag)
            metrics.HEARTBEAT.set_to_current_time()

    async def _seek(self) -> None:
        if not self._seeks:
            return
        begins = await self._consumer.beginning_offsets(self._tps)
        seeks, self._seeks = self._seeks, {}
        for partition, offset in seeks.items():
            self._go_to(partition, offset, begins[self._tps[partition]])

    def _go_to(self, partition: int, first: int, log_begin: int) -> None:
        """See that verdicts are right from offset `first` on."""
        at = self._judge.begin(TRANSACTIONS, partition, max(first, log_begin), log_begin)
        self._consumer.seek(self._tps[partition], at)
        self.next[partition] = at

    def _take(self, partition: int, records: list[Any], received_us: int) -> None:
        # Offsets may be left out: a transaction's markers are no records, and only `_go_to` moves the reader.
        if records[0].offset < self.next[partition]:
            raise InvariantError(
                f"partition {partition} goes on at offset {records[0].offset}, not {self.next[partition]}"
            )
        judge, tail = self._judge, self._tail
        for record in records:
            event = judge.transaction(
                partition, record.offset, record.timestamp, record.headers, record.value
            )
            if isinstance(event, Transaction):
                tail.add(partition, record.offset, event)
            tail.passed(partition, record.offset)
            self._on_record(record, event, received_us)
        self.next[partition] = records[-1].offset + 1

    def _reach(self, partition: int, position: int) -> None:
        """What was taken is all there is before the position, be the last offsets those of records or not."""
        self.next[partition] = max(self.next[partition], position)
        self._tail.passed(partition, self.next[partition] - 1)
