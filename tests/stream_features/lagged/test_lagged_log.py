"""Reading behind the log's end: what rests, what is enough, and how much is kept."""

import asyncio
import time
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition

from fraudsim.errors import FraudsimError
from fraudsim.log.clock import Clock, LoggedSegment
from fraudsim.log.clock_log import ClockLog
from fraudsim.log.events import Label, Transaction, encoder
from fraudsim.log.topics import LABELS, TRANSACTIONS
from fraudsim.settings import Settings
from stream_features.catalogue.features import DAY, MINUTE
from stream_features.lagged import lagged_log
from stream_features.lagged.lagged_events import LaggedEvents
from stream_features.lagged.lagged_log import LaggedLog
from testing.samples.log import make_segment

TX, LABEL = TopicPartition(TRANSACTIONS, 0), TopicPartition(LABELS, 0)
NOW = int(time.time() * 1000)
START = NOW - 3 * DAY
SEGMENT = make_segment(event_epoch_ms=START, wall_epoch_ms=START)
"""Event time is wall time."""


@pytest.fixture(autouse=True)
def it_is_now(monkeypatch):
    monkeypatch.setattr(lagged_log.time, "time", lambda: NOW / 1000)


class FakeReader:
    """Hands out one record of each partition that is not paused, at each poll."""

    def __init__(self, records):
        self.records = records
        self.at = dict.fromkeys(records, 0)
        self.paused = set()

    def pause(self, *tps):
        self.paused |= set(tps)

    def resume(self, *tps):
        self.paused -= set(tps)

    async def poll(self):
        polled = {}
        for tp, records in self.records.items():
            if tp not in self.paused and self.at[tp] < len(records):
                polled[tp] = [records[self.at[tp]]]
                self.at[tp] += 1
        return polled

    async def positions(self):
        return self.at

    def known_ends(self):
        return {tp: len(records) for tp, records in self.records.items()}


def record(offset, arrived_ms, event):
    return SimpleNamespace(
        offset=offset, timestamp=arrived_ms, headers=[("segment", b"0")], value=encoder.encode(event)
    )


def payments(*arrivals):
    return [
        record(n, at, Transaction(tx_id=f"t{n}", ts=at, card_id="c", amount_cents=100, merchant_id="m"))
        for n, at in enumerate(arrivals)
    ]


def log_of(records, lag_ms):
    clock = Clock([LoggedSegment(SEGMENT, START)])
    settings = Settings(_env_file=None, partitions=1, features_lag="1d")
    log = LaggedLog(settings, ClockLog("", clock), LaggedEvents({}, SEGMENT.horizon_ms), lag_ms)
    log._reader = FakeReader(records)
    return log


def poll(log, times):
    async def polls():
        for _ in range(times):
            await log._poll()

    asyncio.run(polls())


def test_a_partition_rests_when_nothing_that_is_due_can_still_come():
    due = NOW - DAY
    arrivals = [due - DAY, due - MINUTE, due + 5 * MINUTE, due + 9 * MINUTE, due + 30 * MINUTE, NOW]
    log = log_of({TX: payments(*arrivals), LABEL: []}, DAY)
    poll(log, 10)
    assert log.ends == [4, -1]  # it has read past the ten minutes by which a record may be late
    assert log.has_read(due)
    assert not log.has_read(due + DAY)
    assert log.events.rows == 2 * 5


def test_at_the_log_s_end_nothing_is_missing():
    log = log_of({TX: payments(NOW - DAY, NOW), LABEL: []}, 10_000)
    poll(log, 1)
    assert not log.has_read(NOW - 10_000)
    poll(log, 2)
    assert log.ends == [1, -1]
    assert log.has_read(NOW - 10_000)


def test_labels_are_read_with_their_own_offsets():
    said = Label(
        tx_id="t0", card_id="c", merchant_id="m", ts=NOW - DAY, amount_cents=100, is_fraud=True,
        source="customer", known_at=NOW - DAY + MINUTE,
    )  # fmt: skip
    log = log_of({TX: payments(NOW - DAY), LABEL: [record(0, NOW - DAY + MINUTE, said)]}, MINUTE)
    poll(log, 2)
    assert log.ends == [0, 0]
    before, after = (log.events.state(("merchant", "m"), said.known_at + wait) for wait in (0, 1))
    assert len(after) > len(before)


def test_over_its_bound_it_folds_what_no_decision_asks_for_and_else_stops_reading(monkeypatch):
    monkeypatch.setattr(lagged_log, "MAX_ROWS_KEPT", 4)
    arrivals = [NOW - 3 * DAY + MINUTE, NOW - DAY - 2 * MINUTE, NOW - DAY - MINUTE, NOW - DAY]
    log = log_of({TX: payments(*arrivals), LABEL: []}, DAY)
    poll(log, 5)
    assert log.events.rows == 2 * 2  # the first is in the base; the last is not read yet
    assert log.ends == [2, -1]
    assert log.events.answers_from_ms == pytest.approx(NOW - DAY - SEGMENT.past_ms, abs=MINUTE)


def test_a_log_that_lost_its_beginning_is_refused(monkeypatch):
    class Reader(FakeReader):
        async def begins(self):
            return {TX: 5, LABEL: 0}

    class Opened:
        async def __aenter__(self):
            return Reader({TX: [], LABEL: []})

        async def __aexit__(self, *_):
            return None

    monkeypatch.setattr(lagged_log, "open_reader", lambda *_: Opened())
    log = log_of({TX: [], LABEL: []}, DAY)
    with pytest.raises(FraudsimError, match="begins at offset 5: lagged features need the whole log"):
        asyncio.run(log.start())
