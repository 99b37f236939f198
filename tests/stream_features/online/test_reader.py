"""The reader: in-flight transactions, and pruning of the unfolded log while a read is under way."""

import asyncio
import time

import pytest

from fraudsim.log.events import Transaction
from stream_features.catalogue.features import HASH, NAMES
from stream_features.online.reader import FeatureReader
from stream_features.online.unfolded_log import UnfoldedLog
from stream_features.store.keys import watermark_key
from stream_features.store.watermark import Watermark, encode_watermark
from testing.samples.log import make_segment

SEGMENT = make_segment()
COUNT = NAMES.index("card_count_1h")


class Store:
    """Redis as it stands when it is asked; the answer may be on its way for a while."""

    def __init__(self, offset):
        self.values = {}
        self.fold_to(offset)
        self.on_its_way = None

    def fold_to(self, offset):
        applied = Watermark(
            log_id="log", generation="g", catalogue=HASH, history="", slots=1, offsets=(offset, -1)
        )
        self.values[watermark_key(0)] = encode_watermark(applied)

    async def read(self, keys, linger_s=0.0):
        values = [self.values.get(key) for key in keys]
        if self.on_its_way is not None:
            await self.on_its_way.wait()
        return values


def transaction(n, card="c", merchant="m"):
    return Transaction(tx_id=f"t{n}", ts=n, card_id=card, merchant_id=merchant, amount_cents=100)


def reader_of(store, unfolded, wait_ms=0):
    return FeatureReader(store, unfolded, SEGMENT, partitions=1, slots=1, pending_wait_ms=wait_ms)


def test_without_the_unfolded_log_features_are_those_of_the_folded_state():
    async def scene():
        unfolded = UnfoldedLog(1, 1_000)
        for n in range(10):
            unfolded.add(0, n, transaction(n))
            unfolded.advance(0, n)
        reader = FeatureReader(
            Store(3), unfolded, SEGMENT, partitions=1, slots=1, pending_wait_ms=0, reads_unfolded=False
        )
        for http in (False, True):
            (reading,) = await reader.read([transaction(10)], http=http)
            assert reading.features[COUNT] == 1  # itself: the store has no state
            assert (reading.prefix.tail_from, reading.prefix.tail_to) == ([0], [-1])
            assert reading.prefix.slots == {"0": [3, -1]}
            assert not reading.stale

    asyncio.run(scene())


def test_a_read_under_way_finds_the_records_that_were_folded_meanwhile():
    """Its watermark is from before the fold: the unfolded log must still hold what lies beyond it."""

    async def scene():
        unfolded = UnfoldedLog(1, 1_000)
        for n in range(10):
            unfolded.add(0, n, transaction(n))
            unfolded.advance(0, n)
        store = Store(3)
        reader = reader_of(store, unfolded)
        await reader.prune_unfolded()
        arrival = store.on_its_way = asyncio.Event()
        task = asyncio.create_task(reader.read([transaction(10)]))
        await asyncio.sleep(0)  # Redis has answered with watermark 3, the reader does not know yet
        store.on_its_way = None
        store.fold_to(9)
        await reader.prune_unfolded()
        arrival.set()
        (reading,) = await task
        assert reading.prefix.slots == {"0": [3, -1]}
        assert (reading.prefix.tail_from, reading.prefix.tail_to) == ([4], [9])
        assert not reading.stale
        assert reading.features[COUNT] == 7
        await reader.prune_unfolded()
        assert len(unfolded) == 0
        (after,) = await reader.read([transaction(10)])
        assert after.prefix.tail_from == [10]

    asyncio.run(scene())


def test_only_what_is_in_flight_on_its_own_keys_goes_into_an_http_read():
    async def scene():
        reader = reader_of(Store(-1), UnfoldedLog(1, 1_000))
        for n, (card, merchant) in enumerate(
            (("c", "m"), ("c", "other"), ("other", "m"), ("other", "other"))
        ):
            reader.in_flight.accept(transaction(n, card, merchant))
        own_tx = transaction(9)
        reader.in_flight.accept(own_tx)
        (reading,) = await reader.read([own_tx], http=True)
        assert sorted(reading.prefix.pending) == ["t0", "t1", "t2"]
        assert reading.features[COUNT] == 3  # with the one at hand
        (by_stream,) = await reader.read([own_tx])
        assert by_stream.prefix.pending == []
        assert by_stream.features[COUNT] == 1

    asyncio.run(scene())


def test_a_prefetched_state_serves_each_of_the_transactions_it_was_fetched_for():
    async def scene():
        unfolded = UnfoldedLog(1, 1_000)
        reader = reader_of(Store(3), unfolded)
        own_tx, another = transaction(10), transaction(11, "other")
        prefetch = asyncio.create_task(reader.fetch_state([another, own_tx]))
        await asyncio.sleep(0)
        for n in range(6):  # read and accepted after the state was asked for
            unfolded.add(0, n, transaction(n))
            unfolded.advance(0, n)
        reader.in_flight.accept(transaction(7))
        (reading,) = await reader.readings([own_tx], await prefetch, http=True)
        (direct,) = await reader.read([own_tx], http=True)
        assert reading.features[COUNT] == 2 + 1 + 1
        assert reading.features.tobytes() == direct.features.tobytes()
        assert reading.prefix == direct.prefix

    asyncio.run(scene())


@pytest.mark.parametrize(("card", "doubtful"), [("c", True), ("other", False)])
def test_http_waits_for_its_log_reader_only_over_its_own_keys(card, doubtful):
    async def scene():
        unfolded = UnfoldedLog(1, 1_000)
        reader = reader_of(Store(5), unfolded)  # the state is ahead of this process's own reading
        reader.in_flight.accept(transaction(1, card, "elsewhere"))
        (reading,) = await reader.read([transaction(9)], http=True)
        assert reading.uncertain == doubtful

    asyncio.run(scene())


def test_a_read_ends_its_wait_when_the_log_was_read_so_far():
    async def scene():
        unfolded = UnfoldedLog(1, 1_000)
        reader = reader_of(Store(5), unfolded, wait_ms=5_000)
        reader.in_flight.accept(transaction(1))
        task = asyncio.create_task(reader.read([transaction(9)], http=True))
        await asyncio.sleep(0.01)
        assert not task.done()
        unfolded.advance(0, 5)
        (reading,) = await task
        assert not reading.uncertain

    asyncio.run(scene())


def test_a_read_without_time_left_waits_for_nothing_and_says_that_it_is_uncertain():
    async def scene():
        reader = reader_of(Store(5), UnfoldedLog(1, 1_000), wait_ms=5_000)
        reader.in_flight.accept(transaction(1))
        snapshot = await reader.fetch_state([transaction(9)])
        task = reader.readings([transaction(9)], snapshot, http=True, until_s=time.monotonic())
        (reading,) = await asyncio.wait_for(task, 1.0)
        assert reading.uncertain

    asyncio.run(scene())
