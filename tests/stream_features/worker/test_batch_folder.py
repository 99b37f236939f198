"""A batch is written while the next is gathered, one write at a time, and what the fence says is heeded."""

import asyncio
from types import SimpleNamespace

import pytest
from redis.exceptions import RedisError

from fraudsim.log import headers as h
from fraudsim.log.clock import Clock, LoggedSegment
from fraudsim.log.events import Segment, Transaction, encoder
from fraudsim.logs import set_up_logs
from fraudsim.settings import Settings
from stream_features.catalogue.features import HASH, MINUTE
from stream_features.store.watermark import Watermark, decode_watermark, encode_watermark
from stream_features.worker.batch_folder import BatchFolder

SETTINGS = Settings(_env_file=None, partitions=1, slots=1)
SEGMENT = Segment(
    log_id="log", number=0, event_epoch_ms=0, wall_epoch_ms=0, speed=0.0, past_ms=MINUTE, future_ms=MINUTE,
    horizon_ms=2 * MINUTE,
)  # fmt: skip


class HeldStore:
    """A Redis that answers a write when it is told to, and what it is told to."""

    def __init__(self):
        self.writes = []

    async def read(self, keys):
        return [None] * len(keys)

    async def write(self, writes, fresh_at_ms=None):
        answer = asyncio.get_running_loop().create_future()
        self.writes.append((writes, answer))
        return await answer


class NoLetters:
    async def settle(self):
        pass


def gatherer(store):
    clock_log = SimpleNamespace(clock=Clock([LoggedSegment(SEGMENT, 0)]), refresh=lambda: None)
    made = BatchFolder(SETTINGS, store, clock_log, set_up_logs(SETTINGS, "test"))
    made.letters = NoLetters()
    applied = Watermark(log_id="log", generation="g", catalogue=HASH, history="", slots=1, offsets=(-1, -1))
    made.folder.own(0, encode_watermark(applied))
    made.begin([0, 0])
    return made


def record(offset):
    tx = Transaction(tx_id=f"t{offset}", ts=offset, card_id="c", amount_cents=1)
    return SimpleNamespace(
        offset=offset, timestamp=1, headers=[(h.SEGMENT, b"0")], value=encoder.encode(tx), partition=0
    )


async def taken(made, first, end):
    await made.take(0, [record(offset) for offset in range(first, end)], end)


def test_the_next_batch_is_gathered_while_one_is_written_and_written_after_it():
    async def scenario():
        store = HeldStore()
        made = gatherer(store)
        await taken(made, 0, 3)
        assert await made.write()
        await taken(made, 3, 5)
        second = asyncio.create_task(made.write())
        await asyncio.sleep(0.01)
        ((first, answer),) = store.writes
        assert not second.done()
        answer.set_result([True])
        assert await second
        (later, answer) = store.writes[1]
        assert later[0].expected == first[0].applied
        assert decode_watermark(later[0].applied).offsets == (4, -1)
        answer.set_result([True])
        assert await made.settle()
        assert made.folder.owned[0].stored == later[0].applied

    asyncio.run(scenario())


def test_after_a_refused_write_nothing_more_is_folded():
    async def scenario():
        store = HeldStore()
        made = gatherer(store)
        await taken(made, 0, 3)
        assert await made.write()
        await taken(made, 3, 5)
        store.writes[0][1].set_result([False])
        assert not await made.write()
        assert len(store.writes) == 1

    asyncio.run(scenario())


def test_a_redis_that_failed_is_told_of_by_the_next_write():
    async def scenario():
        store = HeldStore()
        made = gatherer(store)
        await taken(made, 0, 3)
        assert await made.write()
        store.writes[0][1].set_exception(RedisError("gone"))
        with pytest.raises(RedisError, match="gone"):
            await made.write()
        assert await made.settle()

    asyncio.run(scenario())


def test_what_is_remembered_is_not_read_again():
    async def scenario():
        made = gatherer(HeldStore())
        await taken(made, 0, 4)
        assert made.begin([0, 0]) == [0, 0]  # nothing was written
        await taken(made, 0, 6)
        assert made.folder.transactions == 6
        slot = made.folder.owned[0]
        made.folder.own(0, encode_watermark(slot.applied.moved_to([2, -1])))
        assert made.begin([0, 0]) == made.next == [3, 0]
        await made.take(0, [record(3), record(4), record(1)], 6)
        assert made.folder.transactions == 2

    asyncio.run(scenario())
