"""Event time when the wall clock is set, and when the producer was away while HTTP went on."""

import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import KafkaProducer

from fraudsim.log import headers as h
from fraudsim.log.acceptance import Acceptance
from fraudsim.log.clock import Clock, LoggedSegment, event_time_ms, past_limit_ms
from fraudsim.log.clock_log import ClockLog, next_segment, open_clock
from fraudsim.log.events import Transaction, encoder
from fraudsim.log.topics import CLOCK, TRANSACTIONS
from fraudsim.polling import poll_until
from fraudsim.settings import Settings
from producers.outbox.kafka_python_outbox import KafkaPythonOutbox
from producers.sender import wall_time
from producers.sender.clock_starter import DirectClockStarter
from producers.sender.log_ends import answered_ms
from producers.sources.source import Item
from testing.samples.log import T0, make_segment
from tests.producers.sender.test_sender import (
    SPEED,
    START_MS,
    EvenSource,
    prefix,
    read_topic,
    send_here,
    settings,
)

__all__ = ["prefix", "settings"]


@pytest.mark.parametrize("jump_us", [-3_600_000_000, -6_000_000, 6_000_000, 3_600_000_000])
def test_a_jump_is_noticed_once_and_drift_is_followed(monkeypatch: pytest.MonkeyPatch, jump_us: int) -> None:
    wall_us, steady_us = 10**15, 0
    monkeypatch.setattr(wall_time, "now_us", lambda: wall_us)
    monkeypatch.setattr(wall_time, "steady_us", lambda: steady_us)
    jumps = wall_time.JumpDetector()
    for _ in range(100):  # 1 s in ten minutes, by steps
        steady_us += 6_000_000
        wall_us += 6_010_000
        assert not jumps.jumped()
    steady_us += 140_000_000  # a process that was paused: both clocks went on
    wall_us += 140_000_000
    assert not jumps.jumped()
    wall_us += jump_us
    assert jumps.jumped()
    assert not jumps.jumped()


@pytest.mark.stack
@pytest.mark.parametrize("jump_s", [-120, 20])
def test_when_the_wall_clock_is_set_a_segment_goes_on_where_event_time_stopped(
    settings: Settings, prefix: str, monkeypatch: pytest.MonkeyPatch, jump_s: int
) -> None:
    real_now_us, set_by_us = wall_time.now_us, 0
    first_sent = threading.Event()
    real_hand_over = KafkaPythonOutbox.hand_over

    def hand_over(*args: Any) -> None:
        real_hand_over(*args)
        first_sent.set()

    class Disturbed(EvenSource):
        def items(self) -> Iterator[Item]:
            nonlocal set_by_us
            for number, item in enumerate(super().items()):
                if number == 300:
                    assert poll_until(first_sent.is_set, 10)
                    set_by_us = jump_s * 1_000_000
                yield item

    monkeypatch.setattr(wall_time, "now_us", lambda: real_now_us() + set_by_us)
    monkeypatch.setattr(KafkaPythonOutbox, "hand_over", hand_over)
    stop = threading.Event()
    watchdog = threading.Timer(60, stop.set)  # the old sender slept for two minutes
    watchdog.start()
    done = send_here(settings, prefix, Disturbed(count=400), stop=stop)
    watchdog.cancel()
    assert done.complete
    assert done.records[TRANSACTIONS] == 400
    before, after = done.segments
    assert (after.wall_epoch_ms - before.wall_epoch_ms > 0) == (jump_s > 0)
    assert START_MS < after.event_epoch_ms < START_MS + 400 * 1000 * SPEED / 400


def answer(log: ClockLog, ts: int, tx_id: str) -> None:
    """Write a transaction as HTTP does once it has answered it."""
    tx = Transaction(tx_id=tx_id, ts=ts, card_id="card-1", amount_cents=1)
    headers = [(h.SEGMENT, h.encode_int(log.clock.current.number)), (h.DECISION, b"{}")]
    producer: Any = KafkaProducer(bootstrap_servers=log.bootstrap)
    producer.send(log.topic.removesuffix(CLOCK) + TRANSACTIONS, encoder.encode(tx), headers=headers)
    producer.flush()
    producer.close()


@pytest.mark.stack
def test_after_an_absence_in_which_http_answered_event_time_goes_on(settings: Settings, prefix: str) -> None:
    """The clock was started long ago, so HTTP is far ahead of the source's first missing record."""
    send_here(settings, prefix, EvenSource(count=10))
    log = open_clock(settings, topic=prefix + CLOCK)
    away_ms = 200_000
    log.append(next_segment(log.clock, SPEED, START_MS, int(time.time() * 1000) - away_ms))
    starter = DirectClockStarter(log, EvenSource(), SPEED)
    first_due_ms = START_MS + 100
    assert starter.start(first_due_ms, has_records=True).event_epoch_ms == first_due_ms  # nobody answered

    log.append(next_segment(log.clock, SPEED, START_MS, int(time.time() * 1000) - away_ms))
    running = log.clock.current
    answered_at = event_time_ms(running, time.time() * 1000)
    answer(log, answered_at, "http-1")
    segment = starter.start(first_due_ms, has_records=True)
    assert segment.event_epoch_ms >= answered_at
    assert segment.event_epoch_ms == event_time_ms(running, segment.wall_epoch_ms)  # as if nothing happened
    assert segment.past_ms == past_limit_ms(SPEED) + segment.event_epoch_ms - first_due_ms

    done = send_here(settings, prefix, EvenSource(count=200))
    assert done.complete
    clock = open_clock(settings, topic=prefix + CLOCK).clock
    acceptance, accepted = Acceptance(clock), 0
    for partition, records in read_topic(settings, prefix + TRANSACTIONS).items():
        for r in records:
            event = acceptance.transaction(partition, r.offset, r.timestamp, r.headers, r.value)
            accepted += isinstance(event, Transaction)
    assert accepted == 200  # all of the source; the sample of HTTP has no real decision


def test_a_forged_answer_carries_the_clock_no_further_than_its_arrival() -> None:
    clock = Clock([LoggedSegment(make_segment(), T0)])

    def answered(ts: int, *names: str) -> int:
        tx = Transaction(tx_id="t", ts=ts, card_id="c", amount_cents=1)
        headers = [(name, b"0") for name in names]
        return answered_ms(
            SimpleNamespace(headers=headers, value=encoder.encode(tx), timestamp=T0 + 7), clock
        )

    assert answered(T0 + 5, h.SEGMENT, h.DECISION) == T0 + 5
    assert answered(T0 + 10**12, h.SEGMENT, h.DECISION) == T0 + 7 + make_segment().future_ms
    assert answered(T0 + 5, h.SEGMENT) == answered(T0 + 5, h.DECISION) == 0
    junk = SimpleNamespace(headers=[(h.SEGMENT, b"0"), (h.DECISION, b"")], value=b"junk", timestamp=T0)
    assert answered_ms(junk, clock) == 0
