"""The stream scorer: bounded memory, order, completeness, changes of assignment, stopping."""

import asyncio
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition

from fraudsim import metrics
from fraudsim.log.acceptance import Rejected
from fraudsim.log.topics import TRANSACTIONS
from scorer.stream import loop as streams
from scorer.stream import progress
from scorer.stream.batch import QueuedTransaction
from scorer.stream.resumption import DecidedOffsets, decided_offsets
from stream_features.online.in_flight import InFlight
from stream_features.online.unfolded_log import UnfoldedLog
from testing.rigs.stream_rig import (
    assign,
    cancel,
    offsets,
    record,
    scorer_of,
    transaction,
    until,
)

# A backlog


def test_a_backlog_is_bounded_and_decided_whole_and_in_order(monkeypatch):
    monkeypatch.setattr(progress, "MAX_BACKLOG", 40)
    monkeypatch.setattr(streams, "MAX_BATCH", 16)

    async def scene():
        scorer = scorer_of({0: 500, 1: 30})
        scorer._decider.may_decide.clear()
        reading, deciding = asyncio.create_task(scorer.log_reader.run()), asyncio.create_task(scorer.run())
        await until(lambda: scorer.log_reader.next == {0: 500, 1: 30})
        assert scorer.log_reader.rewinds == []  # not before there is room
        scorer._decider.may_decide.set()
        await until(lambda: len(scorer._producer.sent) == 530)
        await cancel(reading, deciding)
        assert offsets(scorer, 0) == list(range(500))
        assert offsets(scorer, 1) == list(range(30))
        assert scorer._decider.max_backlog <= 40
        assert scorer.log_reader.rewinds
        assert {partition for partition, _ in scorer.log_reader.rewinds} == {0}

    asyncio.run(scene())


def test_a_backlog_is_bounded_in_bytes_of_the_decisions_that_came_with_it(monkeypatch):
    monkeypatch.setattr(progress, "MAX_BACKLOG_BYTES", 3_000)
    own = progress.PartitionProgress(DecidedOffsets(-1))
    queued = QueuedTransaction(None, b"d" * 1_000)
    assert [own.offer(offset, lambda: queued) for offset in range(5)] == [True] * 3 + [False] * 2
    assert (own.skipped_from, own.backlog_bytes) == (3, 3_000)
    assert [own.take() for _ in range(3)] == [queued] * 3
    assert (own.take_skipped(), own.backlog_bytes) == (3, 0)


def test_a_revoked_partition_forgets_its_skipped_records(monkeypatch):
    monkeypatch.setattr(progress, "MAX_BACKLOG", 4)

    async def scene():
        scorer = scorer_of({0: 0})
        for offset in range(10):
            scorer.on_record(record(0, offset), transaction(offset), 0)
        scorer.on_partitions_revoked(set())
        assign(scorer, [0], 5)
        for offset in range(6, 9):
            scorer.on_record(record(0, offset), transaction(offset), 0)
        deciding = asyncio.create_task(scorer.run())
        await until(lambda: len(scorer._producer.sent) == 3)
        await cancel(deciding)
        assert offsets(scorer, 0) == [6, 7, 8]
        assert scorer.log_reader.rewinds == []

    asyncio.run(scene())


def test_the_next_state_is_prefetched_before_decisions_are_sent_and_dropped_once_it_is_old(
    monkeypatch,
):
    monkeypatch.setattr(streams, "MAX_BATCH", 4)
    now_s = [0.0]
    monkeypatch.setattr(streams, "time", SimpleNamespace(monotonic=lambda: now_s[0]))

    async def scene():
        scorer = scorer_of({0: 0})
        send, asked_when_sent = scorer._producer.send, []

        async def slow_send(*args, **fields):
            asked_when_sent.append(list(scorer._decider.prefetch_sizes))
            if len(asked_when_sent) == 6:  # of the second batch: the third's state grows old
                now_s[0] += streams.PREFETCH_VALID_S
            return await send(*args, **fields)

        scorer._producer.send = slow_send
        for offset in range(11):
            scorer.on_record(record(0, offset), transaction(offset), 0)
        deciding = asyncio.create_task(scorer.run())
        await until(lambda: len(scorer._producer.sent) == 11)
        await cancel(deciding)
        assert offsets(scorer, 0) == list(range(11))
        assert asked_when_sent[:4] == [[4, 4]] * 4
        assert asked_when_sent[4:] == [[4, 4, 3]] * 7
        assert scorer._decider.prefetched_states == ["state of 4", "state of 4", None]

    asyncio.run(scene())


def test_a_batch_taken_ahead_is_not_published_after_a_revocation(monkeypatch):
    monkeypatch.setattr(streams, "MAX_BATCH", 4)

    async def scene():
        scorer = scorer_of({0: 0})
        decided = []

        async def revoke():
            decided.append(len(scorer._producer.sent))
            if len(decided) == 2:
                scorer.on_partitions_revoked(set())
                assign(scorer, [0], 5)  # another decided up to there

        scorer._decider.on_decide = revoke
        for offset in range(8):
            scorer.on_record(record(0, offset), transaction(offset), 0)
        deciding = asyncio.create_task(scorer.run())
        await until(lambda: len(decided) == 2 and not scorer._arrived.is_set())
        assert offsets(scorer, 0) == [0, 1, 2, 3]
        for offset in range(8):
            scorer.on_record(record(0, offset), transaction(offset), 0)
        await until(lambda: len(scorer._producer.sent) == 6)
        await cancel(deciding)
        assert offsets(scorer, 0) == [0, 1, 2, 3, 6, 7]

    asyncio.run(scene())


def test_a_rejected_record_that_is_delivered_again_is_counted_once():
    def counted():
        return metrics.TRANSACTIONS.labels("decided", "duplicate")._value.get()

    scorer = scorer_of({0: 0})
    before = counted()
    rejected = Rejected("duplicate", "tx_id", "stands before", "t0")
    for offset in (0, 1, 0, 1, 2):
        scorer.on_record(record(0, offset), rejected, 0)
    assert counted() == before + 3


def test_a_rejected_record_is_counted_by_the_scorer_that_has_its_partition_and_not_again_after_a_restart():
    def counted():
        return metrics.TRANSACTIONS.labels("decided", "invalid")._value.get()

    one, other = scorer_of({0: 0, 1: 0}), scorer_of({0: 0, 1: 0})
    for scorer, own in ((one, 0), (other, 1)):
        scorer.on_partitions_revoked(set())
        assign(scorer, [own], 4)  # up to offset 4 it was decided before this process started
    before = counted()
    rejected = Rejected("invalid", "ts", "too late")
    for scorer in (one, other):
        for partition, offset in ((0, 3), (0, 5), (1, 2), (1, 6), (1, 7)):
            scorer.on_record(record(partition, offset), rejected, 0)
    assert counted() == before + 3


# Pending transactions


@pytest.mark.parametrize(
    "fate", [transaction(0), Rejected("duplicate", "tx_id", "", "t0"), Rejected("invalid", "segment", "")]
)
def test_what_the_log_gave_back_is_no_longer_pending_whatever_its_fate(fate):
    scorer = scorer_of({0: 0})
    tail = UnfoldedLog(1, 100)
    pending = scorer._in_flight = InFlight(tail)
    tx = transaction(0)
    pending.accept(tx)
    pending.acknowledge(tx, 0, 7)
    tail.advance(0, 6)
    scorer.on_record(record(0, 6), Rejected("invalid", "value", ""), 0)
    assert len(pending) == 1
    tail.advance(0, 7)
    scorer.on_record(record(0, 7), fate, 0)
    assert len(pending) == 0


# The end


def test_a_stop_waits_until_what_http_decided_is_decided_in_the_stream_too():
    async def scene():
        scorer = scorer_of({0: 0, 1: 0})
        scorer._in_flight.accept(transaction(3))
        scorer.log_reader.read_offsets = [4, -1]
        scorer._decider.may_decide.clear()
        deciding = asyncio.create_task(scorer.run())
        passing = asyncio.create_task(scorer.await_http_decisions(60))
        for offset in range(4):
            await asyncio.sleep(2 * streams.POLL_S)
            assert not passing.done()
            scorer.on_record(record(0, offset), transaction(offset), 0)
        await asyncio.sleep(2 * streams.POLL_S)
        assert (len(scorer._in_flight), passing.done()) == (0, False)
        scorer.on_record(record(0, 4), transaction(4), 0)
        scorer.log_reader.next[0] = 5
        await asyncio.sleep(2 * streams.POLL_S)
        assert not passing.done()
        scorer._decider.may_decide.set()
        await passing
        assert offsets(scorer, 0) == [0, 1, 2, 3, 4]
        await cancel(deciding)

    asyncio.run(scene())


def test_a_stop_does_not_wait_for_ever_for_a_log_that_gives_nothing_back():
    async def scene():
        scorer = scorer_of({0: 0})
        scorer._in_flight.accept(transaction(0))
        await asyncio.wait_for(scorer.await_http_decisions(0.1), 10)

    asyncio.run(scene())


# Changes of assignment


def test_a_batch_taken_up_before_a_revocation_is_not_published_after_it():
    """Else its second half, published after the partition is reassigned, would skip its first half."""

    async def scene():
        scorer = scorer_of({0: 0})
        send = scorer._producer.send

        async def slow_send(*args, **fields):
            ack = await send(*args, **fields)
            if len(scorer._producer.sent) == 3:
                scorer.on_partitions_revoked(set())
                await asyncio.sleep(0)
                assign(scorer, [0], 0)  # only the first was acknowledged and found by the resumption
            return ack

        scorer._producer.send = slow_send
        for offset in range(6):
            scorer.on_record(record(0, offset), transaction(offset), 0)
        deciding = asyncio.create_task(scorer.run())
        await until(lambda: len(scorer._producer.sent) == 3 and not scorer._arrived.is_set())
        assert offsets(scorer, 0) == [0, 1, 2]
        scorer._producer.send = send
        for offset in range(6):
            scorer.on_record(record(0, offset), transaction(offset), 0)
        await until(lambda: len(scorer._producer.sent) == 8)
        await cancel(deciding)
        assert offsets(scorer, 0)[3:] == [1, 2, 3, 4, 5]

    asyncio.run(scene())


def test_where_to_go_on_is_looked_up_again_if_the_assignment_changed_meanwhile(monkeypatch):
    async def scene():
        scorer = scorer_of({0: 0})
        scorer.on_partitions_revoked(set())
        scorer.on_partitions_assigned([TopicPartition(TRANSACTIONS, 0)])
        looked = []

        async def find_decided(_bootstrap, partitions, *_):
            looked.append(partitions)
            if len(looked) == 1:  # away and back: another decided up to 30 in between
                scorer.on_partitions_revoked(set())
                scorer.on_partitions_assigned([TopicPartition(TRANSACTIONS, 0)])
                return {0: DecidedOffsets(10)}
            return {0: DecidedOffsets(30)}

        monkeypatch.setattr(streams, "find_decided", find_decided)
        while scorer._assignment_changed.is_set():
            scorer._assignment_changed.clear()
            await scorer._resume()
        assert scorer._progress[0].decided_to == 30
        assert looked == [[0], [0]]
        assert scorer.log_reader.rewinds == [(0, 31)]

    asyncio.run(scene())


def test_where_to_go_on_is_looked_up_once_ones_own_decisions_are_in_the_log(monkeypatch):
    async def scene():
        scorer = scorer_of({0: 0})
        scorer.on_partitions_revoked(set())
        scorer._assigned.add(0)
        ack = asyncio.get_running_loop().create_future()
        scorer._unacked.append(ack)

        async def find_decided(_bootstrap, partitions, *_):
            return dict.fromkeys(partitions, DecidedOffsets(7 if ack.done() else 6))

        monkeypatch.setattr(streams, "find_decided", find_decided)
        resuming = asyncio.create_task(scorer._resume())
        await asyncio.sleep(0.001)
        ack.set_result(None)
        await resuming
        assert scorer._progress[0].decided_to == 7

    asyncio.run(scene())


# Holes


def test_a_hole_of_a_send_that_failed_is_decided_after_the_restart_and_nothing_twice():
    async def scene():
        scorer = scorer_of({0: 12})
        scorer.on_partitions_revoked(set())
        # 3 and 4 were in a batch that expired, 7 is a record that needs no decision here.
        scorer._assigned.add(0)
        scorer._start_partition(0, decided_offsets([0, 1, 2, 5, 6, 8], log_begins_with_them=True))
        reading, deciding = asyncio.create_task(scorer.log_reader.run()), asyncio.create_task(scorer.run())
        await until(lambda: len(scorer._producer.sent) == 6)
        await cancel(reading, deciding)
        assert offsets(scorer, 0) == [3, 4, 7, 9, 10, 11]

    asyncio.run(scene())


# Stopping


def test_the_group_is_left_only_when_all_decisions_are_acknowledged(monkeypatch):
    """Also those awaited when the loop was cancelled."""
    monkeypatch.setattr(streams, "MAX_UNACKED", 2)

    async def scene():
        scorer = scorer_of({0: 0})
        producer = scorer._producer
        member = scorer._member
        producer.acknowledge = False
        for offset in range(5):
            scorer.on_record(record(0, offset), transaction(offset), 0)
        deciding = asyncio.create_task(scorer.run())
        await until(lambda: len(producer.sent) == 5)
        await cancel(deciding)
        assert not any(ack.cancelled() for ack in producer.acks)
        stopping = asyncio.create_task(scorer.stop())
        for ack in producer.acks:
            await asyncio.sleep(0.001)
            assert not stopping.done()
            ack.set_result(None)
        await stopping
        assert member.under_way_at_leaving == 0

    asyncio.run(scene())


def test_a_decision_that_could_not_be_written_ends_the_stop_with_its_error_after_leaving():
    async def scene():
        scorer = scorer_of({0: 0})
        member = scorer._member
        failed = asyncio.get_running_loop().create_future()
        failed.set_exception(RuntimeError("not written"))
        scorer._unacked.append(failed)
        with pytest.raises(RuntimeError, match="not written"):
            await scorer.stop()
        assert member.under_way_at_leaving is not None

    asyncio.run(scene())
