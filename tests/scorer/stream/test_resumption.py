"""Where a partition resumes: at the first transaction that its `decisions` lack."""

import asyncio
import contextlib

import msgspec
import pytest
from aiokafka import TopicPartition

from fraudsim import metrics
from fraudsim.errors import FraudsimError
from fraudsim.log.events import encoder
from fraudsim.log.topics import DECISIONS
from scorer.stream import loop as streams
from scorer.stream import resumption
from scorer.stream.resumption import DecidedOffsets, decided_offsets
from testing.rigs.stream_rig import FakeLog, decision, record, transaction


class Decisions:
    """A reader of one `decisions` partition."""

    def __init__(self, values):
        self.values = values
        self.at = 0

    async def begins(self):
        return {DECISIONS_0: 0}

    async def ends(self, partitions=None):
        return dict.fromkeys(partitions, SOURCE_END) if partitions else {DECISIONS_0: len(self.values)}

    def seek(self, offsets):
        (self.at,) = offsets.values()

    async def read_until(self, ends):
        records = [record(0, offset, value) for offset, value in enumerate(self.values) if offset >= self.at]
        yield DECISIONS_0, records, len(self.values)

    @contextlib.asynccontextmanager
    async def open(self, *_):
        yield self


DECISIONS_0 = TopicPartition(DECISIONS, 0)
SOURCE_END = 20


def test_what_is_no_decision_is_counted_and_passed_over_on_resuming(monkeypatch):
    values = [encoder.encode(decision(transaction(n), 0, n)) for n in range(3)]
    values[1:1] = [b"", b"not json", None, b"\xff", b"[" * 5_000, b"{}", b'{"source_offset": 99}']
    monkeypatch.setattr(resumption, "open_reader", Decisions(values).open)
    unreadable = metrics.TRANSACTIONS.labels("resumed", "unreadable")
    before = unreadable._value.get()
    log = FakeLog()
    assert asyncio.run(resumption.find_decided("", [0], log)) == {0: DecidedOffsets(2)}
    assert unreadable._value.get() == before + 7
    assert log.events == ["decision_unreadable"] * 7


def test_a_line_whose_decisions_have_another_lag_is_not_resumed(monkeypatch):
    made = [decision(transaction(n), 0, n) for n in range(2)]
    lagged = [msgspec.structs.replace(item, features_lag_ms=300_000) for item in made]
    degraded = msgspec.structs.replace(made[0], degraded=True, source_offset=2)

    def resume(decisions, lag_ms):
        reader = Decisions([encoder.encode(item) for item in decisions])
        monkeypatch.setattr(resumption, "open_reader", reader.open)
        return asyncio.run(resumption.find_decided("", [0], FakeLog(), lag_ms))

    assert resume([*lagged, degraded], 300_000) == {0: DecidedOffsets(2)}
    assert resume(made, 0) == {0: DecidedOffsets(1)}
    with pytest.raises(FraudsimError, match="features lag 1h: this line's decisions have 5m; give all"):
        resume(lagged, 3_600_000)
    with pytest.raises(FraudsimError, match="features lag 5m: this line's decisions have 0s; give all"):
        resume(made, 300_000)


@pytest.mark.parametrize("forged", [SOURCE_END, 10**18, 10**30])
def test_a_forged_source_offset_beyond_the_log_stops_no_resumption(monkeypatch, forged):
    monkeypatch.setattr(resumption, "MAX_OUT_OF_ORDER", 2)
    values = [encoder.encode(decision(transaction(n), 0, n)) for n in range(6)]
    values.insert(1, values[0].replace(b'"source_offset":0', b'"source_offset":%d' % forged))
    monkeypatch.setattr(resumption, "open_reader", Decisions(values).open)
    log = FakeLog()
    assert asyncio.run(resumption.find_decided("", [0], log)) == {0: DecidedOffsets(5)}
    assert len(log.events) == 1


@pytest.mark.parametrize(("sources", "from_the_begin", "to", "beyond"), [
    ([], True, -1, ()),
    ([0, 1, 2], True, 2, ()),
    ([1, 2], True, -1, (1, 2)),
    ([7, 8], False, 8, ()),
    ([7, 9, 10], False, 7, (9, 10)),
    ([0, 1, 4, 5, 2, 3, 6], True, 6, ()),  # a hole that was filled
    ([0, 1, 2, 1, 2], True, 2, ()),  # a zombie's
])  # fmt: skip
def test_a_partition_resumes_at_the_first_offset_without_a_decision(sources, from_the_begin, to, beyond):
    assert decided_offsets(sources, from_the_begin) == DecidedOffsets(to, frozenset(beyond))


def test_a_hole_is_found_from_wherever_the_log_is_read_while_it_is_open_and_not_opened_again(monkeypatch):
    monkeypatch.setattr(resumption, "MAX_OUT_OF_ORDER", 6)  # of two lost and four that came through
    log = [*range(20), *range(22, 26), 20, 21, *range(26, 40)]
    for end in range(1, len(log) + 1):
        window, decided = log[max(0, end - 12) : end], set(log[:end])
        resumed = decided_offsets(window, end <= 12)
        needed = set(range(resumed.to + 1, max(decided))) - resumed.beyond
        assert needed == set(range(max(decided))) - decided


def test_no_more_is_unacknowledged_than_the_resumption_reads_back():
    assert streams.MAX_UNACKED + streams.MAX_BATCH <= resumption.MAX_OUT_OF_ORDER
