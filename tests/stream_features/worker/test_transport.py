"""The worker's read position: runs of records without a gap, rewinds that had no effect."""

import asyncio
from types import SimpleNamespace

import pytest
from faust.types import TP
from structlog.testing import ReturnLogger

from fraudsim.log.clock import Clock, LoggedSegment
from fraudsim.log.clock_log import ClockLog
from fraudsim.log.events import Transaction, encoder
from fraudsim.log.topics import LABELS, TRANSACTIONS
from fraudsim.settings import Settings
from stream_features.store.watermark import Watermark, encode_watermark
from stream_features.worker import inbox as inbox_module
from stream_features.worker import positions
from stream_features.worker.batch_folder import BatchFolder, FoldResources
from stream_features.worker.fold_loop import FoldLoop
from stream_features.worker.inbox import Delivery, Inbox
from stream_features.worker.positions import MAX_AHEAD_S, Positions
from stream_features.worker.transport import RecordRunThread, WholePollConsumer, record_runs
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
        self._subscription = SimpleNamespace(
            subscription=SimpleNamespace(assignment=self.assignment), reassignment_in_progress=False
        )


def polled_by(aiokafka, fetch, monkeypatch):
    """The runs that a thread returns of a poll during which `fetch` runs."""
    thread = RecordRunThread.__new__(RecordRunThread)

    polls = [lambda: fetch(thread, aiokafka)]

    async def fetch_records(_self, _consumer, _partitions, timeout, max_records):
        return polls.pop()() if polls else {}

    monkeypatch.setattr(
        "faust.transport.drivers.aiokafka.AIOKafkaConsumerThread._fetch_records", fetch_records
    )
    return asyncio.run(thread._fetch_records(aiokafka, {A, B}))


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


def test_a_poll_is_shared_over_the_partitions_and_skips_nothing(monkeypatch):
    """A backlog in one does not keep the others waiting; aiokafka fills a poll from the first it has."""
    waiting = {A: list(range(100)), B: [7, 8, 9]}
    state = {
        tp: SimpleNamespace(position=offsets[0], has_valid_position=True) for tp, offsets in waiting.items()
    }
    consumer = FakeAiokafka(0)
    consumer.assignment.tps, consumer.assignment.state_value = {A, B}, state.get

    async def fetch_records(_self, _consumer, partitions, timeout, max_records):
        drained = {}
        for tp in waiting:
            if tp in partitions and max_records:
                taken, waiting[tp] = waiting[tp][:max_records], waiting[tp][max_records:]
                drained |= {tp: records(*taken)} if taken else {}
                state[tp].position += len(taken)
                max_records -= len(taken)
        return drained

    monkeypatch.setattr(
        "faust.transport.drivers.aiokafka.AIOKafkaConsumerThread._fetch_records", fetch_records
    )
    thread = RecordRunThread.__new__(RecordRunThread)
    polls = [asyncio.run(thread._fetch_records(consumer, {A, B}, 0.5, 10)) for _ in range(2)]
    runs = [{tp: [record.offset for record in run] for tp, run in poll.items()} for poll in polls]
    assert runs == [{A: list(range(7)), B: [7, 8, 9]}, {A: list(range(7, 17))}]
    assert [(poll[A].first, poll[A].end) for poll in polls] == [(0, 7), (7, 17)]


def test_the_position_is_lost_before_and_after_fausts_seek():
    """A rewind that is taken while Faust seeks is undone by that seek."""
    events = []

    async def highwaters(*_tps):
        return {A: 7}

    async def seek_wait(offsets):
        events.append(offsets)

    consumer = WholePollConsumer.__new__(WholePollConsumer)
    inbox = SimpleNamespace(mark_position_lost=lambda: events.append("lost"))
    consumer.transport = SimpleNamespace(inbox=inbox)
    consumer._thread = SimpleNamespace(highwaters=highwaters, seek_wait=seek_wait)
    consumer.assignment = lambda: {A}
    assert asyncio.run(consumer.seek_to_committed()) == {A: 7}
    assert events == ["lost", {A: 7}, "lost"]


class Worker:
    """A fold loop that owns the one slot of one partition, at its position, with nothing folded."""

    def __init__(self):
        clock = Clock()
        clock.add(LoggedSegment(make_segment(), T0))
        clock_log = ClockLog("", clock)
        settings = Settings(_env_file=None, partitions=1, slots=1)
        store = SimpleNamespace(read=_nothing, write=_nothing)
        resources = FoldResources(settings, store, clock_log, None, ReturnLogger())
        self.folder = BatchFolder(resources)
        self.slot_states = self.folder.slot_states
        self.inbox = Inbox()
        self.inbox.position_lost = False
        self.consumer = FakeConsumer(0)
        assignment = SimpleNamespace(slots=frozenset({0}))
        self.positions = Positions(resources, self.folder, assignment, self.inbox, self.consumer)
        self.loop = FoldLoop(resources, self.folder, self.positions, self.inbox)
        watermark = Watermark(
            log_id="log", generation="g", catalogue="c", history="", slots=1, offsets=(-1, -1)
        )
        self.slot_states.own(0, encode_watermark(watermark))

    @property
    def position_lost(self):
        return self.inbox.position_lost


@pytest.fixture
def worker():
    return Worker()


def deliver(worker, first, end, *offsets):
    asyncio.run(worker.loop.collect(Delivery(0, TRANSACTIONS, 0, records(*offsets), first, end)))


class TestDelivering:
    def test_offsets_without_a_record_are_passed(self, worker):
        deliver(worker, 0, 2, 0, 1)
        deliver(worker, 2, 6, 3, 4)
        deliver(worker, 6, 9)
        assert worker.folder.next_offsets[0] == 9
        assert worker.slot_states.ends[0] == 8
        assert worker.slot_states.transactions == 4
        assert not worker.position_lost

    def test_a_missing_run_makes_for_a_rewind(self, worker):
        deliver(worker, 0, 2, 0, 1)
        deliver(worker, 3, 5, 3, 4)
        assert worker.position_lost
        assert (worker.folder.next_offsets[0], worker.slot_states.ends[0]) == (2, 1)
        assert worker.slot_states.transactions == 2

    def test_records_collected_before_are_left_out(self, worker):
        deliver(worker, 0, 3, 0, 1, 2)
        deliver(worker, 1, 4, 1, 2, 3)
        deliver(worker, 0, 2, 0, 1)
        assert worker.slot_states.transactions == 4
        assert worker.folder.next_offsets[0] == 4

    def test_nothing_is_collected_once_the_position_is_lost(self, worker):
        async def run():
            await worker.inbox.deliver(Delivery(0, TRANSACTIONS, 0, records(3), 3, 4))
            await worker.inbox.deliver(Delivery(0, TRANSACTIONS, 0, records(0), 0, 1))
            await worker.loop.fold_queue()

        asyncio.run(run())
        assert worker.position_lost
        assert worker.slot_states.transactions == 0


async def _nothing(*_):
    return []


class FakeConsumer:
    """Has the same read position in every partition of transactions."""

    def __init__(self, position):
        self.stand_at(position, position)

    def stand_at(self, position, end):
        self._read_position, self._end = position, end

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
    monkeypatch.setattr(positions.time, "monotonic", lambda: now[0])

    def wait(seconds):
        now[0] += seconds

    return wait


class TestCheckingThePosition:
    def test_reading_that_stays_ahead_is_rewound(self, worker, later):
        worker.consumer.stand_at(7, 7)
        worker.positions.check_ahead()
        assert not worker.position_lost
        later(MAX_AHEAD_S - 0.1)
        worker.positions.check_ahead()
        assert not worker.position_lost
        later(0.2)
        worker.positions.check_ahead()
        assert worker.position_lost

    def test_reading_that_comes_on_is_left_alone(self, worker, later):
        for end in (2, 4, 6):
            worker.consumer.stand_at(end + 1, end + 1)
            worker.positions.check_ahead()
            first = worker.folder.next_offsets[0]
            deliver(worker, first, end, *range(first, end))
            later(MAX_AHEAD_S + 1)
        assert not worker.position_lost

    @pytest.mark.parametrize("position", [0, None])
    def test_reading_at_its_position_or_during_a_rebalance_is_left_alone(self, worker, later, position):
        worker.consumer.stand_at(position, 0)
        for _ in range(3):
            worker.positions.check_ahead()
            later(MAX_AHEAD_S + 1)
        assert not worker.position_lost

    def test_a_rewind_that_was_not_taken_yet_is_waited_for(self, worker, later):
        worker.consumer.stand_at(7, 7)
        worker.inbox.rewind_to({})
        for _ in range(3):
            worker.positions.check_ahead()
            later(MAX_AHEAD_S + 1)
        assert not worker.position_lost

    def test_a_worker_without_slots_has_no_position(self, worker, later):
        worker.consumer.stand_at(7, 7)
        worker.slot_states.release([0])
        for _ in range(3):
            worker.positions.check_ahead()
            later(MAX_AHEAD_S + 1)
        assert not worker.position_lost


def test_a_lagging_slot_with_too_many_keys_for_one_call_starts_again_from_nearer(worker, monkeypatch):
    """They would be written in one call, which holds Redis; it takes at most 524,000 keys in one."""
    monkeypatch.setattr(positions, "MAX_TAKE_OVER_KEYS", 30)

    async def run():
        worker.positions._catch_up_task = asyncio.create_task(asyncio.sleep(60))
        slot = worker.slot_states.owned[0]
        worker.slot_states.own_lagging(0, slot.stored, [0, 0])
        for end in (10, 40):
            await worker.loop.collect(
                Delivery(0, TRANSACTIONS, 0, [card_record(n) for n in range(end)], 0, end)
            )
            worker.positions.finish_catch_up()
            yield worker.position_lost
        await worker.positions.cancel_catch_up()

    async def outcomes():
        return [lost async for lost in run()]

    assert asyncio.run(outcomes()) == [False, True]


def card_record(offset):
    record = make_record(offset)
    tx = Transaction(tx_id=f"t{offset}", ts=T0, card_id=f"c{offset}", amount_cents=1)
    record.value = encoder.encode(tx)
    return record


def test_a_log_that_ends_with_a_marker_is_known_to_its_end(worker):
    worker.consumer.stand_at(3, 3)
    deliver(worker, 0, 2, 0, 1)
    assert worker.positions.fresh_at_ms() == T0  # the time of the last record read
    deliver(worker, 2, 3)
    assert worker.positions.fresh_at_ms() == T0 + 9_000


def test_records_that_are_only_reread_say_nothing_of_how_fresh_the_state_is(worker):
    worker.consumer.stand_at(3, 3)
    worker.positions._reread_until = [2, 0]
    deliver(worker, 0, 1, 0)
    assert worker.positions.fresh_at_ms() is None
    deliver(worker, 1, 2, 1)
    assert worker.positions.fresh_at_ms() == T0


def test_what_is_queued_is_bounded_in_bytes(monkeypatch):
    monkeypatch.setattr(inbox_module, "MAX_QUEUED_BYTES", 10_000)

    async def run():
        inbox = Inbox()
        delivery = Delivery(0, TRANSACTIONS, 0, [make_record(n) for n in range(20)], 0, 20)
        await inbox.deliver(delivery)
        waiting = asyncio.create_task(inbox.deliver(delivery))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        inbox.take()
        await asyncio.wait_for(waiting, 5)

    asyncio.run(run())
