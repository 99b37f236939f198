"""A batch is written while the next is collected, one write at a time; a refused write stops the folding."""

import asyncio
from types import SimpleNamespace

import pytest
from redis.exceptions import RedisError

from fraudsim import metrics
from fraudsim.log import headers as h
from fraudsim.log.clock import Clock, LoggedSegment
from fraudsim.log.clock_log import ClockLog
from fraudsim.log.events import Segment, Transaction, encoder
from fraudsim.log.topics import TRANSACTIONS
from fraudsim.process.logs import set_up_logs
from fraudsim.settings import Settings
from stream_features.catalogue.features import HASH, MINUTE
from stream_features.store.watermark import Watermark, decode_watermark, encode_watermark
from stream_features.worker.batch_folder import BatchFolder, FoldResources
from stream_features.worker.catch_up import CatchUp

SETTINGS = Settings(_env_file=None, partitions=1, slots=1)
SEGMENT = Segment(
    log_id="log", number=0, event_epoch_ms=0, wall_epoch_ms=0, speed=0.0, past_ms=MINUTE, future_ms=MINUTE,
    horizon_ms=2 * MINUTE,
)  # fmt: skip


class HeldStore:
    """A Redis whose reply to each write is a future that the test resolves."""

    def __init__(self):
        self.writes = []

    async def read(self, keys):
        return [None] * len(keys)

    async def write(self, writes, fresh_at_ms=None):
        answer = asyncio.get_running_loop().create_future()
        self.writes.append((writes, answer))
        return await answer


class HeldProducer:
    """A Kafka whose acknowledgement of each dead letter is a future that the test resolves."""

    def __init__(self):
        self.acks = []

    async def send(self, _topic, value, key):
        self.acks.append(asyncio.get_running_loop().create_future())
        return self.acks[-1]


def resources_of(store, producer=None):
    clock_log = ClockLog("", Clock([LoggedSegment(SEGMENT, 0)]))
    return FoldResources(SETTINGS, store, clock_log, producer, set_up_logs(SETTINGS, "test"))


def new_batch_folder(store, resources=None):
    batch_folder = BatchFolder(resources or resources_of(store))
    watermark = Watermark(log_id="log", generation="g", catalogue=HASH, history="", slots=1, offsets=(-1, -1))
    batch_folder.slot_states.own(0, encode_watermark(watermark))
    batch_folder.begin([0, 0])
    return batch_folder


def record(offset, value=None):
    tx = Transaction(tx_id=f"t{offset}", ts=offset, card_id="c", amount_cents=1)
    return SimpleNamespace(
        offset=offset, timestamp=1, headers=[(h.SEGMENT, b"0")], value=value or encoder.encode(tx),
        partition=0, topic=TRANSACTIONS,
    )  # fmt: skip


async def collect(batch_folder, first, end):
    await batch_folder.add_records(0, [record(offset) for offset in range(first, end)], end)


def test_the_next_batch_is_collected_while_one_is_written_and_written_after_it():
    async def scenario():
        store = HeldStore()
        batch_folder = new_batch_folder(store)
        await collect(batch_folder, 0, 3)
        assert await batch_folder.commit()
        await collect(batch_folder, 3, 5)
        second = asyncio.create_task(batch_folder.commit())
        await asyncio.sleep(0.01)
        ((first, answer),) = store.writes
        assert not second.done()
        answer.set_result([True])
        assert await second
        (later, answer) = store.writes[1]
        assert later[0].expected == first[0].watermark
        assert decode_watermark(later[0].watermark).offsets == (4, -1)
        answer.set_result([True])
        assert await batch_folder.await_write()
        assert batch_folder.slot_states.owned[0].stored == later[0].watermark

    asyncio.run(scenario())


def test_after_a_refused_write_nothing_more_is_folded():
    async def scenario():
        store = HeldStore()
        batch_folder = new_batch_folder(store)
        await collect(batch_folder, 0, 3)
        assert await batch_folder.commit()
        await collect(batch_folder, 3, 5)
        store.writes[0][1].set_result([False])
        assert not await batch_folder.commit()
        assert len(store.writes) == 1

    asyncio.run(scenario())


def test_an_error_of_redis_is_raised_by_the_next_commit():
    async def scenario():
        store = HeldStore()
        batch_folder = new_batch_folder(store)
        await collect(batch_folder, 0, 3)
        assert await batch_folder.commit()
        store.writes[0][1].set_exception(RedisError("gone"))
        with pytest.raises(RedisError, match="gone"):
            await batch_folder.commit()
        assert await batch_folder.await_write()

    asyncio.run(scenario())


def test_what_is_remembered_is_not_read_again():
    async def scenario():
        batch_folder = new_batch_folder(HeldStore())
        await collect(batch_folder, 0, 4)
        assert batch_folder.begin([0, 0]) == [0, 0]  # nothing was written
        await collect(batch_folder, 0, 6)
        assert batch_folder.slot_states.transactions == 6
        slot = batch_folder.slot_states.owned[0]
        batch_folder.slot_states.own(0, encode_watermark(slot.watermark.advance_to([2, -1])))
        assert batch_folder.begin([0, 0]) == batch_folder.next_offsets == [3, 0]
        await batch_folder.add_records(0, [record(3), record(4), record(1)], 6)
        assert batch_folder.slot_states.transactions == 2

    asyncio.run(scenario())


def test_each_reading_waits_for_its_own_dead_letters():
    """Main reader and catch-up share a Kafka client; a commit of one waits for nothing of the other."""

    async def scenario():
        store, producer = HeldStore(), HeldProducer()
        resources = resources_of(store, producer)
        main = new_batch_folder(store, resources)
        catch_up = CatchUp(resources)._batch_folder
        catch_up.slot_states.own(0, main.slot_states.owned[0].stored)
        catch_up.begin([0, 0])
        await catch_up.add_records(0, [record(0, b"{")], 1)
        await main.add_records(0, [record(0, b"}")], 1)
        (of_catch_up, of_main) = producer.acks
        committed = asyncio.create_task(main.commit())
        await asyncio.sleep(0.01)
        assert not committed.done()  # its dead letter is not acknowledged
        of_main.set_result(None)
        assert await asyncio.wait_for(committed, 10)
        behind = asyncio.create_task(catch_up.commit())
        await asyncio.sleep(0.01)
        assert not behind.done()
        assert len(store.writes) == 1
        of_catch_up.set_result(None)
        assert await asyncio.wait_for(behind, 10)
        for _, answer in store.writes:
            answer.set_result([True])
        assert await main.await_write()
        assert await catch_up.await_write()

    asyncio.run(scenario())


def counted():
    samples = {
        "transactions": metrics.TRANSACTIONS.labels("folded", "ok")._value.get(),
        "duplicates": metrics.TRANSACTIONS.labels("folded", "duplicate")._value.get(),
        "dead letters": metrics.DEAD_LETTERS.labels("value")._value.get(),
    }
    (batches,) = metrics.FOLD_BATCH.collect()
    return samples | {s.name: s.value for s in batches.samples if s.name.endswith("_sum")}


def test_records_that_are_read_again_are_counted_once():
    async def scenario():
        store, producer = HeldStore(), HeldProducer()
        batch_folder = new_batch_folder(store, resources_of(store, producer))
        log = [record(0), record(1, b"{"), record(2), record(3), record(4, record(3).value), record(5)]
        before = counted()

        async def commit(records, end, answer):
            await batch_folder.add_records(0, records, end)
            for ack in producer.acks:
                ack.done() or ack.set_result(None)
            assert await batch_folder.commit()
            store.writes[-1][1].set_result([answer])
            assert await batch_folder.await_write() is answer

        await commit(log[:3], 3, True)
        await commit(log[3:5], 5, False)  # refused: read again, from the watermark on
        batch_folder.slot_states.own(0, batch_folder.slot_states.owned[0].stored)
        assert batch_folder.begin([0, 0])[0] == 3
        await commit(log[3:], 6, True)
        restarted = BatchFolder(resources_of(store, producer))
        restarted.slot_states.own(0, batch_folder.slot_states.owned[0].stored)
        restarted.begin([0, 0])
        assert restarted.next_offsets[0] == 0  # for their ids
        batch_folder = restarted
        await commit([*log, record(6)], 7, True)
        after = counted()
        assert {name: after[name] - value for name, value in before.items()} == {
            "transactions": 5, "duplicates": 1, "dead letters": 1, "fraudsim_fold_batch_size_sum": 5,
        }  # fmt: skip

    asyncio.run(scenario())
