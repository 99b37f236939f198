"""Slots that are far behind the others, brought up by a reader of their own: the others need not wait.

The main reading begins where the healthy slots are, and from there gathers for the slow ones too; here they
are folded up to just before that place. Then what was gathered goes on top of what was caught up.
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
"""Judged at a time: some 20 ms in which the main reading waits."""


def far_behind(applied: Mapping[int, Watermark], beyond: int) -> set[int]:
    """The slots that lack more than `beyond` records of what the furthest has; none where all do."""
    if not applied:
        return set()
    furthest = [max(offsets) for offsets in zip(*(a.offsets for a in applied.values()), strict=True)]
    lacking = {
        slot: sum(most - offset for most, offset in zip(furthest, a.offsets, strict=True))
        for slot, a in applied.items()
    }
    slow = {slot for slot, records in lacking.items() if records > beyond}
    return slow if len(slow) < len(applied) else set()


class FencedError(Exception):
    """Another has written the slot meanwhile: whoever steers must look again who owns what."""


class CatchUp:
    """One reading of the log from the slow slots' watermarks up to a given place."""

    def __init__(
        self, settings: Settings, store: StateStore, clock_log: ClockLog, letters: DeadLetterWriter, log: Any
    ) -> None:
        self._settings = settings
        self._gatherer = BatchFolder(settings, store, clock_log, log)
        self._gatherer.letters = letters
        self._log = log

    async def run(
        self, stored: Mapping[int, bytes], begins: Sequence[int], until: Sequence[int]
    ) -> dict[int, bytes]:
        """Fold slots up to the offsets `until`, by source, which are left out. Returns their new `applied`.

        Args:
            stored: each slot's `applied`, as Redis has it.
            begins: first offset that the log still holds, by source.

        Raises:
            FencedError: another wrote one of the slots.
            RedisError: Redis is away; what was written stands.
        """
        gatherer = self._gatherer
        for slot, value in stored.items():
            gatherer.folder.own(slot, value)
        start = gatherer.begin(begins)
        self._log.info("catching_up", slots=sorted(stored), start=start, until=list(until))
        n = self._settings.partitions
        tps = {
            TopicPartition(topic, p): at + p
            for at, topic in ((0, TRANSACTIONS), (n, LABELS))
            for p in range(n)
        }
        open_tps = {tp: source for tp, source in tps.items() if gatherer.next[source] < until[source]}
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka_bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="none",
            client_id=f"{self._settings.worker_name}-catch-up",
        )
        await consumer.start()
        try:
            consumer.assign(list(open_tps))
            for tp, source in open_tps.items():
                consumer.seek(tp, gatherer.next[source])
            while open_tps:
                polled = await consumer.getmany(timeout_ms=200, max_records=POLL_RECORDS)
                for tp, source in list(open_tps.items()):
                    position = await consumer.position(tp)
                    records = [r for r in polled.get(tp, ()) if r.offset < until[source]]
                    await gatherer.take(source, records, min(position, until[source]))
                    if position >= until[source]:
                        consumer.pause(tp)
                        del open_tps[tp]
                if not open_tps or gatherer.folder.full(self._settings.worker_max_batch):
                    await self._write()
        finally:
            await consumer.stop()
        for source, end in enumerate(until):
            gatherer.folder.passed(source, max(gatherer.folder.ends[source], end - 1))
        await self._write()
        self._log.info("caught_up", slots=sorted(stored))
        return {number: slot.stored for number, slot in gatherer.folder.owned.items()}

    async def _write(self) -> None:
        if not (await self._gatherer.write() and await self._gatherer.settle()):
            raise FencedError
        await asyncio.sleep(0)
