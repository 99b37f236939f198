"""What the worker knows of where reading stands: stretches without a gap, rewinds that had no effect."""

import asyncio
from types import SimpleNamespace

import pytest
from faust.types import TP
from structlog.testing import ReturnLogger

from fraudsim.log.clock import Clock, LoggedSegment
from fraudsim.log.topics import LABELS, TRANSACTIONS
from fraudsim.settings import Settings
from stream_features.store.watermark import Watermark, encode_watermark
from stream_features.worker import app as worker
from stream_features.worker.app import STRAYED_S, FoldLoop
from stream_features.worker.transport import Delivery, StretchThread, WholePollConsumer, stretches
from testing.samples.log import T0, make_record, make_segment

A, B = TP(TRANSACTIONS, 0), TP(TRANSACTIONS, 1)


def records(*offsets):
    return [make_record(offset) for offset in offsets]


class TestStretches:
    def test_what_stands_between_two_positions_is_all_there_is(self):
        found = stretches({A: records(5, 6, 9)}, {A: 3, B: 7}, {A: 12, B: 7})
        assert list(found) == [A]
        assert (found[A].first, found[A].end) == (3, 12)
        assert [r.offset for r in found[A]] == [5, 6, 9]

    def test_markers_alone_make_a_stretch_without_records(self):
        found = stretches({}, {A: 3, B: 7}, {A: 3, B: 8})
        assert list(found) == [B]
        assert (list(found[B]), found[B].first, found[B].end) == ([], 7, 8)

    def test_after_a_seek_nothing_is_known_of_what_stands_before_the_first_record(self):
        found = stretches({A: records(5, 6)}, {}, {A: 7, B: 9})
        assert list(found) == [A]
        assert (found[A].first, found[A].end) == (5, 7)


class FakeAiokafka:
    """A consumer of one partition that stands at `position`."""

    def __init__(self, position):
        self.state = SimpleNamespace(position=position, has_valid_position=True)
        self.assignment = SimpleNamespace(tps={A}, state_value=lambda _: self.state)
        self._subscription = SimpleNamespace(subscription=SimpleNamespace(assignment=self.assignment))


def polled_by(aiokafka, fetch, monkeypatch):
    """What a thread makes of a poll during which `fetch` runs."""
    thread = StretchThread.__new__(StretchThread)

    async def fetch_records(_self, consumer, *_args, **_kwargs):
        return fetch(thread, consumer)

    monkeypatch.setattr(
        "faust.transport.drivers.aiokafka.AIOKafkaConsumerThread._fetch_records", fetch_records
    )
    return asyncio.run(thread._fetch_records(aiokafka))


def test_a_seek_in_the_midst_of_a_poll_is_no_proof_of_a_gap(monkeypatch):
    def fetch(thread, consumer):
        thread._seeks += 1
        consumer.state.position = 10
        return {A: records(9)}

    (found,) = polled_by(FakeAiokafka(3), fetch, monkeypatch).values()
    assert (found.first, found.end) == (9, 10)


def test_a_new_assignment_in_the_midst_of_a_poll_is_no_proof_of_a_gap(monkeypatch):
    def fetch(_thread, consumer):
        consumer._subscription.subscription.assignment = FakeAiokafka(10).assignment
        return {A: records(9)}

    (found,) = polled_by(FakeAiokafka(3), fetch, monkeypatch).values()
    assert found.first == 9


def test_an_undisturbed_poll_proves_the_gap_it_shows(monkeypatch):
    def fetch(_thread, consumer):
        consumer.state.position = 11
        return {A: records(9)}

    (found,) = polled_by(FakeAiokafka(3), fetch, monkeypatch).values()
    assert (found.first, found.end) == (3, 11)


def test_the_place_is_lost_before_and_after_fausts_seek():
    """A rewind that is taken while Faust seeks is undone by that seek."""
    events = []

    async def highwaters(*_tps):
        return {A: 7}

    async def seek_wait(offsets):
        events.append(offsets)

    consumer = WholePollConsumer.__new__(WholePollConsumer)
    consumer.feed = SimpleNamespace(lost_place=lambda: events.append("lost"))
    consumer._thread = SimpleNamespace(highwaters=highwaters, seek_wait=seek_wait)
    consumer.assignment = lambda: {A}
    assert asyncio.run(consumer.seek_to_committed()) == {A: 7}
    assert events == ["lost", {A: 7}, "lost"]


@pytest.fixture
def loop():
    """A fold loop that owns the one slot of one partition, in place, with nothing folded."""
    clock = Clock()
    clock.add(LoggedSegment(make_segment(), T0))
    clock_log = SimpleNamespace(clock=clock, refresh=lambda: None)
    settings = Settings(_env_file=None, partitions=1, slots=1)
    loop = FoldLoop(settings, None, clock_log, ReturnLogger())
    applied = Watermark(log_id="log", generation="g", catalogue="c", history="", slots=1, offsets=(-1, -1))
    loop.folder.own(0, encode_watermark(applied))
    loop._wanted = frozenset({0})
    loop._out_of_place = False
    return loop


def judge(loop, first, end, *offsets):
    asyncio.run(loop._take(Delivery(0, TRANSACTIONS, 0, records(*offsets), first, end)))


class TestJudging:
    def test_offsets_without_a_record_are_passed(self, loop):
        judge(loop, 0, 2, 0, 1)
        judge(loop, 2, 6, 3, 4)
        judge(loop, 6, 9)
        assert loop.gatherer.next[0] == 9
        assert loop.folder.ends[0] == 8
        assert loop.folder.transactions == 4
        assert not loop._out_of_place

    def test_a_stretch_that_is_missing_makes_for_a_rewind(self, loop):
        judge(loop, 0, 2, 0, 1)
        judge(loop, 3, 5, 3, 4)
        assert loop._out_of_place
        assert (loop.gatherer.next[0], loop.folder.ends[0]) == (2, 1)
        assert loop.folder.transactions == 2

    def test_what_was_judged_before_is_left_out(self, loop):
        judge(loop, 0, 3, 0, 1, 2)
        judge(loop, 1, 4, 1, 2, 3)
        judge(loop, 0, 2, 0, 1)
        assert loop.folder.transactions == 4
        assert loop.gatherer.next[0] == 4

    def test_nothing_is_judged_once_out_of_place(self, loop):
        loop.gatherer._store = SimpleNamespace(read=_nothing, write=_nothing)
        loop.gatherer.letters = SimpleNamespace(settle=_nothing)

        async def run():
            await loop.deliver(Delivery(0, TRANSACTIONS, 0, records(3), 3, 4))
            await loop.deliver(Delivery(0, TRANSACTIONS, 0, records(0), 0, 1))
            await loop._next_batch()

        asyncio.run(run())
        assert loop._out_of_place
        assert loop.folder.transactions == 0


async def _nothing(*_):
    return []


class FakeConsumer:
    """Stands at the same place in every partition."""

    def __init__(self, place, end=None):
        self._place = place
        self._end = place if end is None else end

    def place(self, tp):
        return self._place if tp.topic != LABELS else 0

    def highwater(self, tp):
        return self._end if tp.topic != LABELS else 0

    def looked_at_ms(self, _tp):
        return T0 + 9_000


@pytest.fixture
def later(monkeypatch):
    """Let time pass for the loop."""
    now = [1_000.0]
    monkeypatch.setattr(worker.time, "monotonic", lambda: now[0])

    def wait(seconds):
        now[0] += seconds

    return wait


class TestCheckingThePlace:
    def test_reading_that_stays_ahead_is_rewound(self, loop, later):
        loop.consumer = FakeConsumer(7)
        loop._check_place()
        assert not loop._out_of_place
        later(STRAYED_S - 0.1)
        loop._check_place()
        assert not loop._out_of_place
        later(0.2)
        loop._check_place()
        assert loop._out_of_place

    def test_reading_that_comes_on_is_left_alone(self, loop, later):
        for end in (2, 4, 6):
            loop.consumer = FakeConsumer(end + 1)
            loop._check_place()
            judge(loop, loop.gatherer.next[0], end, *range(loop.gatherer.next[0], end))
            later(STRAYED_S + 1)
        assert not loop._out_of_place

    @pytest.mark.parametrize("place", [0, None])
    def test_reading_in_place_or_during_a_rebalance_is_left_alone(self, loop, later, place):
        loop.consumer = FakeConsumer(place, 0)
        for _ in range(3):
            loop._check_place()
            later(STRAYED_S + 1)
        assert not loop._out_of_place

    def test_a_rewind_that_was_not_taken_yet_is_waited_for(self, loop, later):
        loop.consumer = FakeConsumer(7)
        loop._expected_epoch = 1
        for _ in range(3):
            loop._check_place()
            later(STRAYED_S + 1)
        assert not loop._out_of_place

    def test_a_worker_without_slots_has_no_place(self, loop, later):
        loop.consumer = FakeConsumer(7)
        loop.folder.release([0])
        for _ in range(3):
            loop._check_place()
            later(STRAYED_S + 1)
        assert not loop._out_of_place


def test_a_log_that_ends_with_a_marker_is_known_to_its_end(loop):
    loop.consumer = FakeConsumer(3, 3)
    judge(loop, 0, 2, 0, 1)
    assert loop._fresh_at_ms() == T0  # the time of the last record judged
    judge(loop, 2, 3)
    assert loop._fresh_at_ms() == T0 + 9_000


def test_what_is_only_judged_again_says_nothing_of_how_fresh_the_state_is(loop):
    loop.consumer = FakeConsumer(3, 3)
    loop._back_at = [2, 0]
    judge(loop, 0, 1, 0)
    assert loop._fresh_at_ms() is None
    judge(loop, 1, 2, 1)
    assert loop._fresh_at_ms() == T0
