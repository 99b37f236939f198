"""Reading on where offsets have no record, and where the log would seem to go back."""

import asyncio

import pytest
from aiokafka import TopicPartition

from fraudsim.errors import InvariantError
from fraudsim.log.clock import Clock, LoggedSegment
from fraudsim.log.clock_log import ClockLog
from fraudsim.log.topics import TRANSACTIONS
from fraudsim.settings import Settings
from stream_features.online.log_reader import LogReader
from stream_features.online.unfolded_log import UnfoldedLog
from testing.samples.log import T0, make_record, make_segment

TP = TopicPartition(TRANSACTIONS, 0)


class Polls:
    """A `TopicReader` that hands out polls (records' offsets, position after them), then ends reading."""

    def __init__(self, *polls):
        self._polls = list(polls)
        self._position = 0

    async def poll(self):
        if not self._polls:
            raise asyncio.CancelledError
        offsets, self._position = self._polls.pop(0)
        return {TP: [make_record(offset) for offset in offsets]} if offsets else {}

    async def positions(self):
        return {TP: self._position}

    def known_ends(self):
        return {TP: self._position}


def read(*polls, fill_to=0):
    """The offsets delivered, the reader and its unfolded log."""
    clock = Clock()
    clock.add(LoggedSegment(make_segment(), T0))
    delivered = []
    unfolded = UnfoldedLog(1, 1_000)
    reader = LogReader(
        Settings(_env_file=None, partitions=1),
        ClockLog("", clock),
        unfolded,
        lambda record, _event, _received_us: delivered.append(record.offset),
        Polls(*polls),
    )
    reader._fill_to = [fill_to]
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(reader.run())
    return delivered, reader, unfolded


def test_offsets_without_a_record_are_passed():
    delivered, reader, unfolded = read(([0, 1], 3), ([3, 5], 6), ([7], 8))
    assert delivered == [0, 1, 3, 5, 7]
    assert (reader.next, unfolded.ends) == ([8], [7])
    assert len(unfolded) == 5


def test_the_unfolded_log_is_filled_where_the_log_ends_with_a_marker():
    assert not read(([0, 1], 2), fill_to=3)[1].filled
    _, reader, unfolded = read(([0, 1], 2), ([], 3), fill_to=3)
    assert reader.filled
    assert (reader.next, unfolded.ends) == ([3], [2])


def test_a_log_that_goes_back_is_a_broken_invariant():
    with pytest.raises(InvariantError, match="goes on at offset 1, not 2"):
        read(([0, 1], 2), ([1, 2], 3))
