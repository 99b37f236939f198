"""Catch-up of slots whose watermark lags far behind: a second reader folds them, so the others need not wait.

The main reader starts at the healthy slots' watermarks and collects rows for the lagging slots too. The
second reader folds the lagging slots up to just before that start; then the collected rows go on top.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from aiokafka import TopicPartition

from fraudsim.log.consumer import FetchPlan, open_reader
from fraudsim.log.topics import LABELS, TRANSACTIONS
from stream_features.store.watermark import Watermark
from stream_features.worker.batch_folder import BatchFolder, FoldResources

FETCH: Final = FetchPlan(max_records=1_000)
"""A poll of so many records keeps the main reader waiting for some 20 ms."""


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
    """One reading of the log from the lagging slots' watermarks up to given offsets.

    Its dead letters are its own: of a shared writer, the reading that commits first would take the other's
    acknowledgements, and the other's watermark might pass a dead letter that is not there.
    """

    def __init__(self, resources: FoldResources) -> None:
        self._settings = resources.settings
        self._batch_folder = BatchFolder(resources)
        self._log = resources.log

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
        next_offsets = {tp: batch_folder.next_offsets[source] for tp, source in sources.items()}
        name = f"{self._settings.worker_name}-catch-up"
        async with open_reader(self._settings.kafka_bootstrap, [*sources], FETCH, name) as reader:
            reader.seek(next_offsets)
            ends = {tp: until[source] for tp, source in sources.items()}
            async for tp, records, position in reader.read_until(ends):
                await batch_folder.add_records(sources[tp], records, position)
                if batch_folder.slot_states.is_full(self._settings.worker_max_batch):
                    await self._commit()

    async def _commit(self) -> None:
        if not (await self._batch_folder.commit() and await self._batch_folder.await_write()):
            raise FencedError
        await asyncio.sleep(0)
