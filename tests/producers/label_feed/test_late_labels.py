"""A label that is held up on its way to the broker, as by a pause of its process, is sent once more."""

import asyncio
import time
from types import SimpleNamespace

import msgspec
import pytest

from fraudsim.log.acceptance import Acceptance, Rejected
from fraudsim.log.clock import Clock, LoggedSegment, event_time_ms
from fraudsim.log.events import Label, decode_label
from producers.label_feed import service
from testing.samples.log import T0, make_segment

SPEED = 100.0
LABEL = Label(
    tx_id="t1", card_id="c", ts=T0, amount_cents=1, is_fraud=True, source="customer", known_at=T0 + 1_000
)


class HeldUp:
    """An outbox whose records reach the broker `seconds` after they were handed over."""

    def __init__(self, *seconds):
        self.seconds = list(seconds)
        self.records = []
        self.flushed = 0

    def wait_for_room(self):
        return True

    def check(self):
        pass

    def flush(self, _timeout_s):
        self.flushed += 1

    def close(self, _timeout_s):
        pass

    def hand_over(self, _topic, _key, value, headers, on_ack=None):
        broker_ts_ms = round(time.time() * 1000 + 1000 * self.seconds.pop(0))
        self.records.append((broker_ts_ms, headers, value))
        on_ack(broker_ts_ms)


class OneLabel:
    """A feed with one label to send, which ends when it is sent."""

    def __init__(self):
        self.labels = [LABEL]
        self.delayed = 0
        self.first = SimpleNamespace(last_source={})

    def due_labels(self, now_ms, _segment, _wait_ms):
        labels, self.labels = self.labels, []
        return [msgspec.structs.replace(label, known_at=now_ms) for label in labels]


def clock_from_now():
    now_ms = round(time.time() * 1000)
    return Clock([LoggedSegment(make_segment(speed=SPEED, wall_epoch_ms=now_ms), now_ms - 1_000)])


def accepted(outbox, clock):
    acceptance = Acceptance(clock)
    records = enumerate(outbox.records)
    return [acceptance.label(0, offset, ts, headers, value) for offset, (ts, headers, value) in records]


@pytest.mark.parametrize("held_up_s", [0, 140])
def test_a_label_that_came_too_late_is_known_when_it_is_sent_again(held_up_s):
    clock, outbox, feed = clock_from_now(), HeldUp(held_up_s, 0), OneLabel()
    sender = service._LabelSender(outbox, "labels-test")
    reader = SimpleNamespace(clock=clock, quiet_s=0.0)
    asyncio.run(service._send_due(feed, reader, sender, float("inf")))
    labels = accepted(outbox, clock)
    if held_up_s:
        late, valid = labels
        assert isinstance(late, Rejected)
        assert late.field == "known_at"
    else:
        (valid,) = labels
    assert isinstance(valid, Label)
    assert (valid.tx_id, feed.delayed) == ("t1", bool(held_up_s))
    assert sender.send_late_again(clock) == 0


def test_it_bears_the_segment_in_force_when_it_is_sent_again():
    """The producer was paused as well, and its new segment goes on where event time stopped."""
    clock, outbox = clock_from_now(), HeldUp(140, 0)
    sender = service._LabelSender(outbox, "labels-test")
    old = clock.current
    sender.send(msgspec.structs.replace(LABEL, known_at=event_time_ms(old, time.time() * 1000)), old)
    now_ms = round(time.time() * 1000)
    new = make_segment(number=old.number + 1, speed=SPEED, wall_epoch_ms=now_ms, event_epoch_ms=T0 - 5_000)
    clock.add(LoggedSegment(new, now_ms))
    assert sender.send_late_again(clock) == 1
    late, valid = accepted(outbox, clock)
    assert isinstance(late, Rejected)
    assert isinstance(valid, Label)
    assert decode_label(outbox.records[1][2]).known_at < LABEL.known_at
