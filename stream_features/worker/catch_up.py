"""Catch-up of slots whose watermark lags far behind: a second reader folds them, so the others need not wait.

The main reader starts at the healthy slots' watermarks and collects rows for the lagging slots too. The
second reader folds the lagging slots up to just before that start; then the collected rows go on top.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from fraudsim.log.clock_log import ClockLog
from fraudsim.log.topics import LABELS, TRANSACTIONS
from fraudsim.settings import Settings
from stream_features.store.state_store import StateStore
from stream_features.store.watermark import Watermark
from stream_features.worker.batch_folder import BatchFolder
from stream_features.worker.dead_letters import DeadLetterWriter

POLL_RECORDS: Final = 1_000
"""Records per poll: some 20 ms in which the main reader waits."""


def lagging_slots(watermarks: Mapping[int, Watermark], max_lag: int) -> set[int]:
    """The slots that lack more than `max_lag` records of the furthest offsets; none where all slots do."""
    if not watermarks:
        return set()
    furthest = [max(offsets) for offsets in zip(*(w.offsets for w in watermarks.values()), strict=True)]
    lags = {
        slot: sum(most - offset for most, offset in zip(furthest, watermark.offsets, strict=True))
        for slot, watermark in watermarks.items()
    }
    lagging = {slot for slot, lag in lags.items() if lag > max_lag}
    return lagging if len(lagging) < len(watermarks) else set()


class FencedError(Exception):
    """Another worker has written the slot meanwhile: the caller must read the watermarks again."""


class CatchUp:
    """One reading of the log from the lagging slots' watermarks up to given offsets."""

    def __init__(
        self,
        settings: Settings,
        store: StateStore,
        clock_log: ClockLog,
        dead_letters: DeadLetterWriter,
        log: Any,
    ) -> None:
        self._settings = settings
        self._batch_folder = BatchFolder(settings, store, clock_log, log)
        self._batch_folder.dead_letters = dead_letters
        self._log = log

    async def run(
        self, stored: Mapping[int, bytes], begins: Sequence[int], until: Sequence[int]
    ) -> dict[int, bytes]:
        """Fold slots up to the offsets `until`, exclusive, by source. Returns their new encoded watermarks.

        Args:
            stored: each slot's encoded watermark, as Redis has it.
            begins: first offset that the log still holds, by source.

        Raises:
            FencedError: another worker wrote one of the slots.
            RedisError: Redis is away; what was written stands.
        """
        batch_folder = self._batch_folder
        for slot, value in stored.items():
            batch_folder.slot_states.own(slot, value)
        start = batch_folder.begin(begins)
        self._log.info("catching_up", slots=sorted(stored), start=start, until=list(until))
        await self._read(until)
        for source, end in enumerate(until):
            batch_folder.slot_states.advance(source, end - 1)
        await self._commit()
        self._log.info("caught_up", slots=sorted(stored))
        return {number: slot.stored for number, slot in batch_folder.slot_states.owned.items()}

    async def _read(self, until: Sequence[int]) -> None:
        """Read every source from its next offset to `until`, and commit whenever a batch is full."""
        batch_folder, n = self._batch_folder, self._settings.partitions
        sources = {
            TopicPartition(topic, p): first_source + p
            for first_source, topic in ((0, TRANSACTIONS), (n, LABELS))
            for p in range(n)
        }
        open_sources = {
            tp: source for tp, source in sources.items() if batch_folder.next_offsets[source] < until[source]
        }
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka_bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="none",
            client_id=f"{self._settings.worker_name}-catch-up",
        )
        await consumer.start()
        try:
            consumer.assign(list(open_sources))
            for tp, source in open_sources.items():
                consumer.seek(tp, batch_folder.next_offsets[source])
            while open_sources:
                polled = await consumer.getmany(timeout_ms=200, max_records=POLL_RECORDS)
                for tp, source in list(open_sources.items()):
                    position = await consumer.position(tp)
                    records = [r for r in polled.get(tp, ()) if r.offset < until[source]]
                    await batch_folder.add_records(source, records, min(position, until[source]))
                    if position >= until[source]:
                        consumer.pause(tp)
                        del open_sources[tp]
                if not open_sources or batch_folder.slot_states.is_full(self._settings.worker_max_batch):
                    await self._commit()
        finally:
            await consumer.stop()

    async def _commit(self) -> None:
        if not (await self._batch_folder.commit() and await self._batch_folder.await_write()):
            raise FencedError
        await asyncio.sleep(0)
