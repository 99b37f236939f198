"""Whether a record counts follows from the log alone; what is missing of the clock is read once a poll."""

import asyncio
import time
import uuid
from types import SimpleNamespace

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from fraudsim.errors import FraudsimError
from fraudsim.log import clock_log as clock_log_module
from fraudsim.log import headers as h
from fraudsim.log.acceptance import Acceptance, Rejected
from fraudsim.log.clock import Clock, LoggedSegment
from fraudsim.log.clock_log import ClockLog, next_segment, open_clock, start_log
from fraudsim.log.events import Decision, LogPrefix, Stamps, Transaction, encoder
from fraudsim.log.topics import CLOCK, create_topics
from fraudsim.metrics import CLOCK_SKIPPED
from fraudsim.settings import Settings
from testing.samples.log import T0, make_record, make_segment

TX = Transaction(tx_id="t1", ts=T0, card_id="c1", amount_cents=100, merchant_id="m1")
DECISION = Decision(
    tx_id="t1", ts=T0, card_id="c1", amount_cents=100, merchant_id="m1", score=0.1, action="approve",
    reasons=[], rule_hits=[], model_version="m", policy_version="p", variant="champion", via="http",
    stamps=Stamps(intended=0, received=0, state_read=0, features=0, scored=0, decided=0),
    source_partition=-1, source_offset=-1, staleness_ms=0.0, features=[1.0, None], feature_hash="f",
    prefix=LogPrefix(slots={}, tail_from=[], tail_to=[]),
)  # fmt: skip


def accept(value, decision=None, clock=None):
    clock = clock or Clock([LoggedSegment(make_segment(), T0)])
    headers = [(h.SEGMENT, b"0")]
    if decision is not None:
        headers += [(h.DECISION, decision), (h.RECEIVED, h.encode_int(T0))]
    return Acceptance(clock, features=2).transaction(0, 0, T0, headers, value)


def test_a_decision_that_agrees_with_its_transaction_is_accepted():
    assert accept(encoder.encode(TX), encoder.encode(DECISION)) == TX


@pytest.mark.parametrize(
    "forged",
    [
        {"ts": 10**30}, {"ts": T0 + 1}, {"tx_id": "t2"}, {"card_id": "c2"}, {"amount_cents": 101},
        {"amount_cents": 10**30}, {"merchant_id": "m2"}, {"merchant_id": None}, {"via": "stream"},
        {"features": []}, {"features": [1.0]}, {"features": [1.0] * 3},
    ],
)  # fmt: skip
def test_a_forged_decision_is_a_dead_letter_that_names_the_field(forged):
    rejected = accept(encoder.encode(TX), encoder.encode(msgspec.structs.replace(DECISION, **forged)))
    assert isinstance(rejected, Rejected)
    assert (rejected.kind, rejected.field) == ("invalid", h.DECISION)
    assert next(iter(forged)) in rejected.reason


@pytest.mark.parametrize(("apart_ms", "is_valid"), [
    (-600_000, True), (600_000, True), (0, True), (-600_001, False), (600_001, False), (-(10**9), False),
])  # fmt: skip
def test_a_receive_stamp_far_from_the_brokers_time_evades_no_limit_of_event_time(apart_ms, is_valid):
    """With the stamp of its choice, any event time was within the limits."""
    received = T0 + apart_ms
    tx = msgspec.structs.replace(TX, ts=received)
    decision = encoder.encode(msgspec.structs.replace(DECISION, ts=received))
    headers = [(h.SEGMENT, b"0"), (h.DECISION, decision), (h.RECEIVED, h.encode_int(received))]
    clock = Clock([LoggedSegment(make_segment(), T0 - 10**10)])
    event = Acceptance(clock, features=2).transaction(0, 0, T0, headers, encoder.encode(tx))
    assert event == tx if is_valid else (event.kind, event.field) == ("invalid", h.RECEIVED)


@pytest.mark.parametrize("broker_behind_ms", [-3_600_000, 0, 5_000, 3_600_000])
def test_the_readers_own_time_has_no_say(monkeypatch, broker_behind_ms):
    """Readers whose clocks differ by any amount from the broker's decide alike, also on new segments."""
    monkeypatch.setattr(time, "time", lambda: (T0 + broker_behind_ms) / 1000)
    appended = []

    class GrowingLog(ClockLog):
        async def catch_up(self):
            for segment in appended:
                self.clock.add(segment)

    clock_log = GrowingLog("", Clock())
    acceptance = Acceptance(clock_log.clock)
    for number in range(5):  # a segment before each poll
        appended.append(LoggedSegment(make_segment(number=number), T0 + number))
        tx = msgspec.structs.replace(TX, tx_id=f"t{number}")
        record = SimpleNamespace(headers=[(h.SEGMENT, b"%d" % number)], value=encoder.encode(tx))
        asyncio.run(clock_log.catch_up_for([record]))
        assert acceptance.transaction(0, number, T0 + number, record.headers, record.value) == tx


@pytest.fixture
def log(stack):
    """A clock of its own: a standing segment."""
    settings = Settings(_env_file=None, kafka_bootstrap=stack.kafka_bootstrap)
    prefix = f"c{uuid.uuid4().hex[:8]}."
    create_topics(settings, prefix)
    return start_log(settings, T0, 1.0, "", "", prefix + CLOCK)


def naming(*numbers):
    return [SimpleNamespace(headers=[(h.SEGMENT, b"%d" % number)]) for number in numbers]


def append_to_clock(log, *values, headers=()):
    async def append():
        async with AIOKafkaProducer(bootstrap_servers=log.bootstrap) as producer:
            for value in values:
                await producer.send_and_wait(log.topic, value, key=b"k", partition=0, headers=list(headers))

    asyncio.run(append())


@pytest.mark.stack
def test_an_unknown_segment_is_read_by_one_consumer_while_the_loop_goes_on(log, monkeypatch):
    opened = []

    def count(*args, **fields):
        opened.append(args)
        return open_reader(*args, **fields)

    open_reader = clock_log_module.open_reader
    monkeypatch.setattr(clock_log_module, "open_reader", count)
    reader = ClockLog(log.bootstrap, Clock(), log.topic)
    segment = next_segment(log.clock, 1.0, T0, T0)

    async def run():
        turns = 0

        async def other_work():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        work = asyncio.create_task(other_work())
        await reader.catch_up_for(naming(0))
        assert 0 in reader.clock
        await asyncio.to_thread(log.append, segment)
        await reader.catch_up_for(naming(0, 0))
        assert 1 not in reader.clock  # nothing asked for it
        turns_before = turns
        await reader.catch_up_for(naming(0, 1, 1))
        assert 1 in reader.clock
        assert turns > turns_before
        for _ in range(20):
            await reader.catch_up_for(naming(7, 8, 10**15))
        assert 7 not in reader.clock
        work.cancel()
        await reader.close()

    asyncio.run(run())
    assert len(opened) == 1


@pytest.mark.stack
def test_what_is_no_segment_is_skipped_and_counted_by_every_reader(log):
    before = CLOCK_SKIPPED._value.get()
    valid = encoder.encode(make_segment(number=9))
    too_large = valid.replace(b'"past_ms":600000', b'"past_ms":1' + b"0" * 30)
    assert too_large != valid
    append_to_clock(log, None, b"", b"junk", b"{}", b"[" * 60_000, too_large)
    log.append(next_segment(log.clock, 1.0, T0, T0))
    assert log.clock.current.number == 1
    assert CLOCK_SKIPPED._value.get() == before + 6
    settings = Settings(_env_file=None, kafka_bootstrap=log.bootstrap)
    assert open_clock(settings, topic=log.topic).clock.segments == log.clock.segments
    follower = ClockLog(log.bootstrap, Clock(), log.topic)

    async def follow():
        await follower.catch_up()
        await follower.close()

    asyncio.run(follow())
    assert follower.clock.segments == log.clock.segments
    assert CLOCK_SKIPPED._value.get() == before + 18


@pytest.mark.stack
def test_a_clock_that_does_not_exist_is_named(stack):
    settings = Settings(_env_file=None, kafka_bootstrap=stack.kafka_bootstrap)
    with pytest.raises(FraudsimError, match=r"topic nowhere\.run\.clock does not exist"):
        open_clock(settings, wait_s=0.1, topic="nowhere.run.clock")


def test_records_of_known_segments_ask_nobody():
    clock_log = ClockLog("nobody:1", Clock([LoggedSegment(make_segment(), T0)]))
    asyncio.run(clock_log.catch_up_for([make_record(0), SimpleNamespace(headers=[])]))
    asyncio.run(clock_log.catch_up_for([]))
