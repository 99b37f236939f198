"""The unfolded tail against a plain list, and what HTTP accepted ahead of the log."""

import random

import pytest

from fraudsim.log.events import Transaction
from stream_features.encode import ROW_OF
from stream_features.online import in_flight as pendings
from stream_features.online import unfolded_log as tails
from stream_features.online.in_flight import InFlight, InFlightFullError
from stream_features.online.unfolded_log import UnfoldedLog
from stream_features.vector import keys_of


def transaction(tx_id, card="c", merchant="m", ts=0):
    return Transaction(tx_id=tx_id, ts=ts, card_id=card, merchant_id=merchant, amount_cents=100)


def read_into(tail, partition, offset, tx):
    tail.add(partition, offset, tx)
    tail.passed(partition, offset)


class PlainTail:
    """What a tail says, by looking through everything."""

    def __init__(self, partitions, max_records):
        self.most = max_records // partitions
        self.entries = [[] for _ in range(partitions)]
        self.starts = [0] * partitions

    def add(self, partition, offset, tx):
        entries = self.entries[partition]
        entries.append((offset, tx))
        if len(entries) > self.most:
            self.starts[partition] = entries.pop(0)[0] + 1

    def prune(self, watermarks):
        for partition, watermark in enumerate(watermarks):
            self.entries[partition] = [e for e in self.entries[partition] if e[0] > watermark]
            self.starts[partition] = max(self.starts[partition], watermark + 1)

    def rows(self, entity, key, watermarks):
        return sorted(
            ROW_OF[entity](tx)
            for partition, entries in enumerate(self.entries)
            for offset, tx in entries
            if offset > watermarks[partition] and (entity, key) in keys_of(tx)
        )


@pytest.mark.parametrize("seed", range(10))
def test_the_tail_says_what_a_plain_list_says(seed):
    rng = random.Random(seed)
    tail, plain = UnfoldedLog(3, 90), PlainTail(3, 90)
    offsets, watermarks = [0, 0, 0], [-1, -1, -1]
    for n in range(600):
        partition = rng.choice((0, 0, 0, 0, 1, 2))
        offsets[partition] += rng.randint(1, 3)
        tx = transaction(f"t{n}", f"c{rng.randrange(4)}", rng.choice(("m0", "m1", None)), ts=n)
        read_into(tail, partition, offsets[partition], tx)
        plain.add(partition, offsets[partition], tx)
        if rng.random() < 0.1:
            watermarks = [
                max(w, end - rng.randint(0, 40)) for w, end in zip(watermarks, offsets, strict=True)
            ]
            tail.prune(watermarks)
            plain.prune(watermarks)
        seen_by_slot = [w + rng.randint(0, 10) for w in watermarks]
        for key in (("card", "c0"), ("card", "never"), ("merchant", "m0")):
            assert sorted(tail.rows(*key, seen_by_slot)) == plain.rows(*key, seen_by_slot)
        assert tail.starts == plain.starts
        assert len(tail) == sum(map(len, plain.entries))
    tail.prune(offsets)
    assert len(tail) == 0
    assert not tail._by_key


def test_a_merchants_rows_come_in_order_of_time_from_all_partitions():
    tail = UnfoldedLog(2, 1_000)
    for n in range(50):
        read_into(tail, n % 2, n // 2, transaction(f"t{n}", ts=n))
    assert [row[0] for row in tail.rows("merchant", "m", [-1, 9])] == [*range(0, 20, 2), *range(20, 50)]
    rows = tail.rows("card", "c", [-1, -1])
    assert rows == sorted(rows)


def test_a_record_read_again_is_left_out():
    tail = UnfoldedLog(1, 1_000)
    for offset in (0, 1, 0, 1, 2):
        read_into(tail, 0, offset, transaction(f"t{offset}"))
    assert len(tail.rows("card", "c", [-1])) == 3


def test_letting_go_of_a_hot_key_looks_at_no_other_entry(monkeypatch):
    """One partition stands still in front of a key's entries; those behind it go without passing over it."""
    compared = 0

    class Watched(tails.Entry):
        __slots__ = ()
        __hash__ = None

        def __eq__(self, other):
            nonlocal compared
            compared += 1
            return tuple.__eq__(self, other)

    monkeypatch.setattr(tails, "Entry", Watched)
    tail = UnfoldedLog(2, 10_000)
    for offset in range(1_000):
        read_into(tail, 0, offset, transaction(f"a{offset}"))
    for offset in range(1_000):
        read_into(tail, 1, offset, transaction(f"b{offset}"))
    tail.prune([-1, 999])
    assert len(tail) == 1_000
    assert compared == 0


@pytest.fixture
def tail():
    return UnfoldedLog(2, 1_000)


@pytest.fixture
def pending(tail):
    return InFlight(tail)


def test_only_a_key_s_own_transactions_are_looked_at(pending):
    for n in range(100):
        pending.accept(transaction(f"t{n}", f"c{n}", f"m{n % 10}"))
    assert [tx.tx_id for tx in pending.of(("card", "c7"))] == ["t7"]
    assert [tx.tx_id for tx in pending.of(("merchant", "m7"))] == [f"t{n}" for n in range(7, 100, 10)]
    assert not pending.of(("card", "c100"))


def test_past_the_cap_nothing_more_is_accepted(pending, monkeypatch):
    monkeypatch.setattr(pendings, "MAX_PENDING", 3)
    for n in range(3):
        pending.accept(transaction(f"t{n}", f"c{n}", f"m{n}"))
    with pytest.raises(InFlightFullError, match="3 transactions"):
        pending.accept(transaction("t3", "c3", "m3"))
    assert len(pending) == 3
    pending.read_back(0, "t1")
    pending.accept(transaction("t3", "c3", "m3"))


def test_one_hot_key_does_not_take_all_the_room(pending, monkeypatch):
    monkeypatch.setattr(pendings, "MAX_PENDING_OF_KEY", 2)
    pending.accept(transaction("t0", "c0", "hot"))
    pending.accept(transaction("t1", "c1", "hot"))
    with pytest.raises(InFlightFullError, match="one merchant"):
        pending.accept(transaction("t2", "c2", "hot"))
    pending.accept(transaction("t3", "c0", "cold"))
    with pytest.raises(InFlightFullError, match="one card"):
        pending.accept(transaction("t4", "c0", "cold"))


def test_a_pending_one_goes_when_it_is_read_back_before_its_acknowledgement(pending, tail):
    tx = transaction("t")
    pending.accept(tx)
    tail.passed(0, 5)
    pending.read_back(0, "t")
    pending.placed(tx, 0, 5)
    assert not pending.of(("card", "c"))
    assert len(pending) == 0


def test_a_pending_one_goes_when_the_log_was_read_past_it_whatever_its_fate(pending, tail):
    """A record that does not count bears no tx_id: its offset says that it was passed."""
    first, second, third = (transaction(f"t{n}") for n in range(3))
    for tx in (first, second, third):
        pending.accept(tx)
    pending.placed(second, 0, 6)
    pending.placed(first, 0, 5)
    tail.passed(0, 4)
    pending.read_back(0, "")
    assert len(pending) == 3
    tail.passed(0, 5)
    pending.read_back(0, "")
    assert [tx.tx_id for tx in pending.of(("card", "c"))] == ["t1", "t2"]
    tail.passed(0, 6)
    pending.read_back(0, "")
    pending.placed(third, 0, 6)  # read past before the acknowledgement came
    assert len(pending) == 0


def test_a_failed_one_does_not_take_its_successor_along(pending):
    slow, successor = transaction("t"), transaction("t", card="c2")
    pending.accept(slow)
    pending.accept(successor)
    assert not pending.of(("card", "c"))
    pending.drop(slow)
    assert list(pending.of(("card", "c2"))) == [successor]
    pending.drop(successor)
    assert len(pending) == 0


def test_rows_are_those_of_the_entity_that_is_asked_for(tail):
    tx = Transaction(
        tx_id="t", ts=7, card_id="c", merchant_id="m", device_id="d", ip="10.0.0.1", amount_cents=100
    )
    read_into(tail, 0, 0, tx)
    for entity, key in keys_of(tx):
        assert tail.rows(entity, key, [-1, -1]) == [ROW_OF[entity](tx)]
    assert len(tail._by_key) == 4
    tail.prune([0, -1])
    assert not tail._by_key
