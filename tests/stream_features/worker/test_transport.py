"""The worker's read position: runs of records without a gap, rewinds that had no effect."""

import asyncio
from types import SimpleNamespace

import pytest
from faust.types import TP
from structlog.testing import ReturnLogger

from fraudsim.log.clock import Clock, LoggedSegment
from fraudsim.log.clock_log import ClockLog
from fraudsim.log.topics import LABELS, TRANSACTIONS
from fraudsim.settings import Settings
from stream_features.store.watermark import Watermark, encode_watermark
from stream_features.worker import fold_loop
from stream_features.worker.fold_loop import MAX_AHEAD_S, FoldLoop
from stream_features.worker.transport import Delivery, RecordRunThread, WholePollConsumer, record_runs
from testing.samples.log import T0, make_record, make_segment

A, B = TP(TRANSACTIONS, 0), TP(TRANSACTIONS, 1)


def records(*offsets):
    return [make_record(offset) for offset in offsets]


class TestRecordRuns:
    def test_what_stands_between_two_positions_is_all_there_is(self):
        runs = record_runs({A: records(5, 6, 9)}, {A: 3, B: 7}, {A: 12, B: 7})
        assert list(runs) == [A]
        assert (runs[A].first, runs[A].end) == (3, 12)
        assert [r.offset for r in runs[A]] == [5, 6, 9]

    def test_markers_alone_make_a_run_without_records(self):
        runs = record_runs({}, {A: 3, B: 7}, {A: 3, B: 8})
        assert list(runs) == [B]
        assert (list(runs[B]), runs[B].first, runs[B].end) == ([], 7, 8)

    def test_after_a_seek_nothing_is_known_of_what_stands_before_the_first_record(self):
        runs = record_runs({A: records(5, 6)}, {}, {A: 7, B: 9})
        assert list(runs) == [A]
        assert (runs[A].first, runs[A].end) == (5, 7)


class FakeAiokafka:
    """A consumer of one partition that stands at `position`."""

    def __init__(self, position):
        self.state = SimpleNamespace(position=position, has_valid_position=True)
        self.assignment = SimpleNamespace(tps={A}, state_value=lambda _: self.state)
        self._subscription = SimpleNamespace(subscription=SimpleNamespace(assignment=self.assignment))


def polled_by(aiokafka, fetch, monkeypatch):
    """The runs that a thread returns of a poll during which `fetch` runs."""
    thread = RecordRunThread.__new__(RecordRunThread)

    async def fetch_records(_self, consumer, *_args, **_kwargs):
        return fetch(thread, consumer)

    monkeypatch.setattr(
        "faust.transport.drivers.aiokafka.AIOKafkaConsumerThread._fetch_records", fetch_records
    )
    return asyncio.run(thread._fetch_records(aiokafka))


def test_a_seek_in_the_midst_of_a_poll_is_no_proof_of_a_gap(monkeypatch):
    def fetch(thread, consumer):
        thread._seek_count += 1
        consumer.state.position = 10
        return {A: records(9)}

    (run,) = polled_by(FakeAiokafka(3), fetch, monkeypatch).values()
    assert (run.first, run.end) == (9, 10)


def test_a_new_assignment_in_the_midst_of_a_poll_is_no_proof_of_a_gap(monkeypatch):
    def fetch(_thread, consumer):
        consumer._subscription.subscription.assignment = FakeAiokafka(10).assignment
        return {A: records(9)}

    (run,) = polled_by(FakeAiokafka(3), fetch, monkeypatch).values()
    assert run.first == 9


def test_an_undisturbed_poll_proves_the_gap_it_shows(monkeypatch):
    def fetch(_thread, consumer):
        consumer.state.position = 11
        return {A: records(9)}

    (run,) = polled_by(FakeAiokafka(3), fetch, monkeypatch).values()
    assert (run.first, run.end) == (3, 11)


def test_the_position_is_lost_before_and_after_fausts_seek():
    """A rewind that is taken while Faust seeks is undone by that seek."""
    events = []

    async def highwaters(*_tps):
        return {A: 7}

    async def seek_wait(offsets):
        events.append(offsets)

    consumer = WholePollConsumer.__new__(WholePollConsumer)
    consumer.feed = SimpleNamespace(mark_position_lost=lambda: events.append("lost"))
    consumer._thread = SimpleNamespace(highwaters=highwaters, seek_wait=seek_wait)
    consumer.assignment = lambda: {A}
    assert asyncio.run(consumer.seek_to_committed()) == {A: 7}
    assert events == ["lost", {A: 7}, "lost"]


@pytest.fixture
def loop():
    """A fold loop that owns the one slot of one partition, at its position, with nothing folded."""
    clock = Clock()
    clock.add(LoggedSegment(make_segment(), T0))
    clock_log = ClockLog("", clock)
    settings = Settings(_env_file=None, partitions=1, slots=1)
    loop = FoldLoop(settings, None, clock_log, ReturnLogger())
    watermark = Watermark(log_id="log", generation="g", catalogue="c", history="", slots=1, offsets=(-1, -1))
    loop.slot_states.own(0, encode_watermark(watermark))
    loop._assigned_slots = frozenset({0})
    loop._position_lost = False
    return loop


def deliver(loop, first, end, *offsets):
    asyncio.run(loop._collect(Delivery(0, TRANSACTIONS, 0, records(*offsets), first, end)))


class TestDelivering:
    def test_offsets_without_a_record_are_passed(self, loop):
        deliver(loop, 0, 2, 0, 1)
        deliver(loop, 2, 6, 3, 4)
        deliver(loop, 6, 9)
        assert loop.batch_folder.next_offsets[0] == 9
        assert loop.slot_states.ends[0] == 8
        assert loop.slot_states.transactions == 4
        assert not loop._position_lost

    def test_a_missing_run_makes_for_a_rewind(self, loop):
        deliver(loop, 0, 2, 0, 1)
        deliver(loop, 3, 5, 3, 4)
        assert loop._position_lost
        assert (loop.batch_folder.next_offsets[0], loop.slot_states.ends[0]) == (2, 1)
        assert loop.slot_states.transactions == 2

    def test_records_collected_before_are_left_out(self, loop):
        deliver(loop, 0, 3, 0, 1, 2)
        deliver(loop, 1, 4, 1, 2, 3)
        deliver(loop, 0, 2, 0, 1)
        assert loop.slot_states.transactions == 4
        assert loop.batch_folder.next_offsets[0] == 4

    def test_nothing_is_collected_once_the_position_is_lost(self, loop):
        loop.batch_folder._store = SimpleNamespace(read=_nothing, write=_nothing)
        loop.batch_folder.dead_letters = SimpleNamespace(await_acks=_nothing)

        async def run():
            await loop.deliver(Delivery(0, TRANSACTIONS, 0, records(3), 3, 4))
            await loop.deliver(Delivery(0, TRANSACTIONS, 0, records(0), 0, 1))
            await loop._fold_queue()

        asyncio.run(run())
        assert loop._position_lost
        assert loop.slot_states.transactions == 0


async def _nothing(*_):
    return []


class FakeConsumer:
    """Has the same read position in every partition of transactions."""

    def __init__(self, position, end=None):
        self._read_position = position
        self._end = position if end is None else end

    def read_position(self, tp):
        return self._read_position if tp.topic != LABELS else 0

    def highwater(self, tp):
        return self._end if tp.topic != LABELS else 0

    def end_checked_at_ms(self, _tp):
        return T0 + 9_000


@pytest.fixture
def later(monkeypatch):
    """Let time pass for the loop."""
    now = [1_000.0]
    monkeypatch.setattr(fold_loop.time, "monotonic", lambda: now[0])

    def wait(seconds):
        now[0] += seconds

    return wait


class TestCheckingThePosition:
    def test_reading_that_stays_ahead_is_rewound(self, loop, later):
        loop.consumer = FakeConsumer(7)
        loop._check_position()
        assert not loop._position_lost
        later(MAX_AHEAD_S - 0.1)
        loop._check_position()
        assert not loop._position_lost
        later(0.2)
        loop._check_position()
        assert loop._position_lost

    def test_reading_that_comes_on_is_left_alone(self, loop, later):
        for end in (2, 4, 6):
            loop.consumer = FakeConsumer(end + 1)
            loop._check_position()
            first = loop.batch_folder.next_offsets[0]
            deliver(loop, first, end, *range(first, end))
            later(MAX_AHEAD_S + 1)
        assert not loop._position_lost

    @pytest.mark.parametrize("position", [0, None])
    def test_reading_at_its_position_or_during_a_rebalance_is_left_alone(self, loop, later, position):
        loop.consumer = FakeConsumer(position, 0)
        for _ in range(3):
            loop._check_position()
            later(MAX_AHEAD_S + 1)
        assert not loop._position_lost

    def test_a_rewind_that_was_not_taken_yet_is_waited_for(self, loop, later):
        loop.consumer = FakeConsumer(7)
        loop._expected_epoch = 1
        for _ in range(3):
            loop._check_position()
            later(MAX_AHEAD_S + 1)
        assert not loop._position_lost

    def test_a_worker_without_slots_has_no_position(self, loop, later):
        loop.consumer = FakeConsumer(7)
        loop.slot_states.release([0])
        for _ in range(3):
            loop._check_position()
            later(MAX_AHEAD_S + 1)
        assert not loop._position_lost


def test_a_log_that_ends_with_a_marker_is_known_to_its_end(loop):
    loop.consumer = FakeConsumer(3, 3)
    deliver(loop, 0, 2, 0, 1)
    assert loop._fresh_at_ms() == T0  # the time of the last record read
    deliver(loop, 2, 3)
    assert loop._fresh_at_ms() == T0 + 9_000


def test_records_that_are_only_reread_say_nothing_of_how_fresh_the_state_is(loop):
    loop.consumer = FakeConsumer(3, 3)
    loop._reread_until = [2, 0]
    deliver(loop, 0, 1, 0)
    assert loop._fresh_at_ms() is None
    deliver(loop, 1, 2, 1)
    assert loop._fresh_at_ms() == T0
