"""What the label feed takes from the log: no forged decision, and no label that is a dead letter."""

import asyncio
from types import SimpleNamespace

import msgspec
import pytest
from aiokafka import TopicPartition

from fraudsim.log import headers as h
from fraudsim.log.clock import Clock, LoggedSegment
from fraudsim.log.clock_log import ClockLog
from fraudsim.log.events import Label, encoder
from fraudsim.log.topics import DECISIONS, LABELS
from producers.label_feed import log_reader
from producers.label_feed.log_reader import FeedLogReader
from producers.labels.outcome import DecidedPayment
from testing.samples.log import T0, make_segment

MINUTE = 60_000
OUTCOME = DecidedPayment(
    tx_id="t1", ts=T0, card_id="c", amount_cents=1, score=0.5, action="approve", source_offset=3
)


class FixedClock(ClockLog):
    async def catch_up(self):
        pass


class Records:
    """In place of a reader of one partition: all records at once; `transactions` ends at offset 10."""

    def __init__(self, topic, records):
        self.tp, self.records = TopicPartition(topic, 0), records

    def assign(self, _):
        pass

    async def seek_to_begins(self):
        pass

    async def ends(self, partitions=None):
        return dict.fromkeys(partitions, 10) if partitions else {self.tp: len(self.records)}

    async def positions(self):
        return {TopicPartition(topic, 0): len(self.records) for topic in (LABELS, DECISIONS)}

    async def poll(self, _):
        return {self.tp: self.records}

    async def read_until(self, _):
        yield self.tp, self.records, len(self.records)


def reader_of(topic, records, *segments):
    clock = Clock(segments or [LoggedSegment(make_segment(speed=100.0), T0)])
    return FeedLogReader(Records(topic, records), FixedClock("", clock), {LABELS: [0], DECISIONS: [0]})


def decision(offset, broker_ts_ms=T0, **changes):
    value = encoder.encode(msgspec.structs.replace(OUTCOME, **changes))
    return SimpleNamespace(offset=offset, timestamp=broker_ts_ms, headers=[], value=value)


@pytest.mark.parametrize("forged", [{"ts": 10**30}, {"ts": T0 + 40 * 86_400_000}, {"source_offset": 10},
                                    {"source_offset": 10**30}])  # fmt: skip
def test_a_forged_decision_is_left_out(forged):
    """Its time would let the feed read its source without end; its offset would hide all that follow."""
    records = [decision(0, source_offset=2), decision(1, **forged), decision(2)]
    outcomes = asyncio.run(reader_of(DECISIONS, records).poll())
    assert [outcome.source_offset for _, outcome in outcomes] == [2, 3]


def test_decisions_of_the_segment_before_are_taken_in():
    ahead = LoggedSegment(make_segment(event_epoch_ms=T0 + 10 * 86_400_000), T0)
    back = LoggedSegment(make_segment(number=1), T0 + 1_000)
    records = [decision(0, T0 + 2_000, ts=T0 + 10 * 86_400_000), decision(1, T0 + 2_000)]
    assert len(asyncio.run(reader_of(DECISIONS, records, ahead, back).poll())) == 2


def label(offset, known_at, tx_id):
    event = Label(
        tx_id=tx_id, card_id="c", ts=T0, amount_cents=1, is_fraud=True, source="customer", known_at=known_at
    )
    headers = [(h.SEGMENT, b"0")]
    return SimpleNamespace(
        offset=offset, timestamp=T0 + 140_000, headers=headers, value=encoder.encode(event)
    )


def test_a_label_that_came_too_late_to_count_is_not_taken_for_sent():
    """One that left before its process was paused, and arrived after it."""
    segment = LoggedSegment(make_segment(past_ms=2 * MINUTE), T0)
    records = [label(0, T0 + 140_000, "t1"), label(1, T0, "t2"), label(2, T0 + 139_000, "t3")]
    labels = asyncio.run(reader_of(LABELS, records, segment).read_labels())
    assert {tx_id for tx_id, _, _ in labels} == {"t1", "t3"}


def test_a_pause_is_no_silence_of_the_scorers(monkeypatch):
    """At its end the feed would take the stream for over, before it has read what was decided meanwhile."""
    now_s = [1_000.0]
    monkeypatch.setattr(log_reader.time, "monotonic", lambda: now_s[0])
    reader = reader_of(DECISIONS, [])
    reader._reader.poll = empty_poll
    for seconds in (0.5, 0.5, 140.0):
        now_s[0] += seconds
        asyncio.run(reader.poll())
    assert reader.quiet_s == 2.0
    reader._reader.poll = Records(DECISIONS, [decision(0)]).poll
    asyncio.run(reader.poll())
    assert reader.quiet_s == 0.0


async def empty_poll(_):
    return {}
