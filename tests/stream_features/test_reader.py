"""The reader: pending transactions, the tail's pruning while a read is under way, shared round trips."""

import asyncio

import pytest
from made_log import make_segment
from redis.exceptions import ConnectionError as RedisConnectionError

from fraudsim.events import Transaction
from stream_features import redis_io
from stream_features.applied import Applied, encode_applied
from stream_features.catalogue import HASH, NAMES
from stream_features.reader import FeatureReader
from stream_features.redis_io import StateStore, applied_key
from stream_features.tail import Tail

SEGMENT = make_segment()
COUNT = NAMES.index("card_count_1h")


class Store:
    """Redis as it stands when it is asked; the answer may be on its way for a while."""

    def __init__(self, offset):
        self.values = {}
        self.fold_to(offset)
        self.on_its_way = None

    def fold_to(self, offset):
        applied = Applied(
            log_id="log", generation="g", catalogue=HASH, history="", slots=1, offsets=(offset, -1)
        )
        self.values[applied_key(0)] = encode_applied(applied)

    async def read(self, keys):
        found = [self.values.get(key) for key in keys]
        if self.on_its_way is not None:
            await self.on_its_way.wait()
        return found


def transaction(n, card="c", merchant="m"):
    return Transaction(tx_id=f"t{n}", ts=n, card_id=card, merchant_id=merchant, amount_cents=100)


def reader_of(store, tail, wait_ms=0):
    return FeatureReader(store, tail, SEGMENT, partitions=1, slots=1, pending_wait_ms=wait_ms)


def test_a_read_under_way_finds_the_records_that_were_folded_meanwhile():
    """Its `applied` is from before the fold: the tail must still hold what lies beyond it."""

    async def scene():
        tail = Tail(1, 1_000)
        for n in range(10):
            tail.add(0, n, transaction(n))
            tail.passed(0, n)
        store = Store(3)
        reader = reader_of(store, tail)
        await reader.prune_tail()
        arrival = store.on_its_way = asyncio.Event()
        reading = asyncio.create_task(reader.read([transaction(10)]))
        await asyncio.sleep(0)  # Redis has answered with watermark 3, the reader does not know yet
        store.on_its_way = None
        store.fold_to(9)
        await reader.prune_tail()
        arrival.set()
        (found,) = await reading
        assert found.prefix.slots == {"0": [3, -1]}
        assert (found.prefix.tail_from, found.prefix.tail_to) == ([4], [9])
        assert not found.stale
        assert found.features[COUNT] == 7
        await reader.prune_tail()
        assert len(tail) == 0
        (after,) = await reader.read([transaction(10)])
        assert after.prefix.tail_from == [10]

    asyncio.run(scene())


def test_only_what_is_pending_on_its_own_keys_goes_into_an_http_read():
    async def scene():
        reader = reader_of(Store(-1), Tail(1, 1_000))
        for n, (card, merchant) in enumerate(
            (("c", "m"), ("c", "other"), ("other", "m"), ("other", "other"))
        ):
            reader.pending.accept(transaction(n, card, merchant))
        mine = transaction(9)
        reader.pending.accept(mine)
        (found,) = await reader.read([mine], http=True)
        assert sorted(found.prefix.pending) == ["t0", "t1", "t2"]
        assert found.features[COUNT] == 3  # with the one at hand
        (by_stream,) = await reader.read([mine])
        assert by_stream.prefix.pending == []
        assert by_stream.features[COUNT] == 1

    asyncio.run(scene())


@pytest.mark.parametrize(("card", "doubtful"), [("c", True), ("other", False)])
def test_http_waits_for_its_log_reader_only_over_its_own_keys(card, doubtful):
    async def scene():
        tail = Tail(1, 1_000)
        reader = reader_of(Store(5), tail)  # the state is ahead of this process's own reading
        reader.pending.accept(transaction(1, card, "elsewhere"))
        (found,) = await reader.read([transaction(9)], http=True)
        assert found.uncertain == doubtful

    asyncio.run(scene())


def test_a_read_ends_its_wait_when_the_log_was_read_so_far():
    async def scene():
        tail = Tail(1, 1_000)
        reader = reader_of(Store(5), tail, wait_ms=5_000)
        reader.pending.accept(transaction(1))
        reading = asyncio.create_task(reader.read([transaction(9)], http=True))
        await asyncio.sleep(0.01)
        assert not reading.done()
        tail.passed(0, 5)
        (found,) = await reading
        assert not found.uncertain

    asyncio.run(scene())


# Shared round trips


class Redis:
    """Counts what is under way at once."""

    def __init__(self):
        self.calls = []
        self.under_way = self.most = 0
        self.let = asyncio.Event()
        self.error = None

    async def mget(self, keys):
        self.calls.append(list(keys))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self.let.wait()
            if self.error:
                raise self.error
            return [key.encode() for key in keys]
        finally:
            self.under_way -= 1


def store_over(redis):
    store = StateStore("redis://nowhere")
    store._redis = redis
    return store


def test_reads_at_the_same_time_share_round_trips_and_each_gets_its_own():
    async def scene():
        redis = Redis()
        store = store_over(redis)
        reads = [asyncio.create_task(store.read(["applied", f"k{n}"])) for n in range(200)]
        await asyncio.sleep(0.01)
        redis.let.set()
        assert await asyncio.gather(*reads) == [[b"applied", f"k{n}".encode()] for n in range(200)]
        assert redis.most == redis_io.READS_UNDER_WAY
        assert len(redis.calls) == redis_io.READS_UNDER_WAY + 1
        assert len(redis.calls[-1]) == len(set(redis.calls[-1])) == 199
        assert await store.read(["later"]) == [b"later"]

    asyncio.run(scene())


def test_a_shared_read_is_closed_when_it_is_large(monkeypatch):
    monkeypatch.setattr(redis_io, "KEYS_PER_READ", 10)

    async def scene():
        redis = Redis()
        store = store_over(redis)
        reads = [asyncio.create_task(store.read([f"a{n}", f"b{n}"])) for n in range(52)]
        await asyncio.sleep(0.01)
        redis.let.set()
        found = await asyncio.gather(*reads)
        assert found == [[f"a{n}".encode(), f"b{n}".encode()] for n in range(52)]
        assert redis.most == redis_io.READS_UNDER_WAY
        assert [len(call) for call in redis.calls] == [2, 2, *[10] * 10]

    asyncio.run(scene())


def test_an_error_reaches_all_who_shared_the_read_and_the_next_goes_on():
    async def scene():
        redis = Redis()
        store = store_over(redis)
        redis.error = RedisConnectionError("gone")
        reads = [asyncio.create_task(store.read([f"k{n}"])) for n in range(20)]
        await asyncio.sleep(0.01)
        redis.let.set()
        found = await asyncio.gather(*reads, return_exceptions=True)
        assert all(isinstance(error, RedisConnectionError) for error in found)
        redis.error = None
        assert await store.read(["k"]) == [b"k"]

    asyncio.run(scene())


def test_one_who_gives_up_holds_nobody_up():
    async def scene():
        redis = Redis()
        store = store_over(redis)
        reads = [asyncio.create_task(store.read([f"k{n}"])) for n in range(6)]
        await asyncio.sleep(0.01)
        for n in (0, 3):  # one under way, one waiting for its turn
            reads[n].cancel()
        await asyncio.sleep(0.01)
        redis.let.set()
        found = await asyncio.gather(*reads, return_exceptions=True)
        assert [isinstance(f, asyncio.CancelledError) for f in found] == [n in (0, 3) for n in range(6)]
        assert found[5] == [b"k5"]
        assert all("k3" not in call for call in redis.calls)
        assert await store.read(["k"]) == [b"k"]

    asyncio.run(scene())
