"""The unfolded log against a plain list, and the in-flight transactions of HTTP."""

import random

import pytest

from fraudsim.log.events import Transaction
from stream_features.encode import ROW_OF
from stream_features.online import in_flight as in_flights
from stream_features.online import unfolded_log as unfolded_logs
from stream_features.online.in_flight import InFlight, InFlightFullError
from stream_features.online.unfolded_log import UnfoldedLog
from stream_features.vector import keys_of


def transaction(tx_id, card="c", merchant="m", ts=0):
    return Transaction(tx_id=tx_id, ts=ts, card_id=card, merchant_id=merchant, amount_cents=100)


def read_into(unfolded, partition, offset, tx):
    unfolded.add(partition, offset, tx)
    unfolded.advance(partition, offset)


class PlainLog:
    """What an unfolded log answers, by looking through everything."""

    def __init__(self, partitions, max_records):
        self.capacity = max_records // partitions
        self.entries = [[] for _ in range(partitions)]
        self.starts = [0] * partitions

    def add(self, partition, offset, tx):
        entries = self.entries[partition]
        entries.append((offset, tx))
        if len(entries) > self.capacity:
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
def test_the_unfolded_log_holds_what_a_plain_list_holds(seed):
    rng = random.Random(seed)
    unfolded, plain = UnfoldedLog(3, 90), PlainLog(3, 90)
    offsets, watermarks = [0, 0, 0], [-1, -1, -1]
    for n in range(600):
        partition = rng.choice((0, 0, 0, 0, 1, 2))
        offsets[partition] += rng.randint(1, 3)
        tx = transaction(f"t{n}", f"c{rng.randrange(4)}", rng.choice(("m0", "m1", None)), ts=n)
        read_into(unfolded, partition, offsets[partition], tx)
        plain.add(partition, offsets[partition], tx)
        if rng.random() < 0.1:
            watermarks = [
                max(w, end - rng.randint(0, 40)) for w, end in zip(watermarks, offsets, strict=True)
            ]
            unfolded.prune(watermarks)
            plain.prune(watermarks)
        seen_by_slot = [w + rng.randint(0, 10) for w in watermarks]
        for key in (("card", "c0"), ("card", "never"), ("merchant", "m0")):
            assert sorted(unfolded.rows(*key, seen_by_slot)) == plain.rows(*key, seen_by_slot)
        assert unfolded.starts == plain.starts
        assert len(unfolded) == sum(map(len, plain.entries))
    unfolded.prune(offsets)
    assert len(unfolded) == 0
    assert not unfolded._by_key


def test_a_merchants_rows_come_in_order_of_time_from_all_partitions():
    unfolded = UnfoldedLog(2, 1_000)
    for n in range(50):
        read_into(unfolded, n % 2, n // 2, transaction(f"t{n}", ts=n))
    assert [row[0] for row in unfolded.rows("merchant", "m", [-1, 9])] == [*range(0, 20, 2), *range(20, 50)]
    rows = unfolded.rows("card", "c", [-1, -1])
    assert rows == sorted(rows)


def test_a_record_read_again_is_left_out():
    unfolded = UnfoldedLog(1, 1_000)
    for offset in (0, 1, 0, 1, 2):
        read_into(unfolded, 0, offset, transaction(f"t{offset}"))
    assert len(unfolded.rows("card", "c", [-1])) == 3


def test_letting_go_of_a_hot_key_looks_at_no_other_entry(monkeypatch):
    """One partition stands still in front of a key's entries; those behind it go without passing over it."""
    compared = 0

    class Watched(unfolded_logs.UnfoldedEntry):
        __slots__ = ()
        __hash__ = None

        def __eq__(self, other):
            nonlocal compared
            compared += 1
            return tuple.__eq__(self, other)

    monkeypatch.setattr(unfolded_logs, "UnfoldedEntry", Watched)
    unfolded = UnfoldedLog(2, 10_000)
    for offset in range(1_000):
        read_into(unfolded, 0, offset, transaction(f"a{offset}"))
    for offset in range(1_000):
        read_into(unfolded, 1, offset, transaction(f"b{offset}"))
    unfolded.prune([-1, 999])
    assert len(unfolded) == 1_000
    assert compared == 0


@pytest.fixture
def unfolded():
    return UnfoldedLog(2, 1_000)


@pytest.fixture
def in_flight(unfolded):
    return InFlight(unfolded)


def test_only_a_key_s_own_transactions_are_looked_at(in_flight):
    for n in range(100):
        in_flight.accept(transaction(f"t{n}", f"c{n}", f"m{n % 10}"))
    assert [tx.tx_id for tx in in_flight.of_key(("card", "c7"))] == ["t7"]
    assert [tx.tx_id for tx in in_flight.of_key(("merchant", "m7"))] == [f"t{n}" for n in range(7, 100, 10)]
    assert not in_flight.of_key(("card", "c100"))


def test_past_the_cap_nothing_more_is_accepted(in_flight, monkeypatch):
    monkeypatch.setattr(in_flights, "MAX_IN_FLIGHT", 3)
    for n in range(3):
        in_flight.accept(transaction(f"t{n}", f"c{n}", f"m{n}"))
    with pytest.raises(InFlightFullError, match="3 transactions"):
        in_flight.accept(transaction("t3", "c3", "m3"))
    assert len(in_flight) == 3
    in_flight.read_back(0, "t1")
    in_flight.accept(transaction("t3", "c3", "m3"))


def test_one_hot_key_does_not_take_all_the_room(in_flight, monkeypatch):
    monkeypatch.setattr(in_flights, "MAX_IN_FLIGHT_OF_KEY", 2)
    in_flight.accept(transaction("t0", "c0", "hot"))
    in_flight.accept(transaction("t1", "c1", "hot"))
    with pytest.raises(InFlightFullError, match="one merchant"):
        in_flight.accept(transaction("t2", "c2", "hot"))
    in_flight.accept(transaction("t3", "c0", "cold"))
    with pytest.raises(InFlightFullError, match="one card"):
        in_flight.accept(transaction("t4", "c0", "cold"))


def test_an_in_flight_one_goes_when_it_is_read_back_before_its_acknowledgement(in_flight, unfolded):
    tx = transaction("t")
    in_flight.accept(tx)
    unfolded.advance(0, 5)
    in_flight.read_back(0, "t")
    in_flight.acknowledge(tx, 0, 5)
    assert not in_flight.of_key(("card", "c"))
    assert len(in_flight) == 0


def test_an_in_flight_one_goes_when_the_log_was_read_past_it_whatever_its_fate(in_flight, unfolded):
    """A record that does not count bears no tx_id: its offset says that it was passed."""
    first, second, third = (transaction(f"t{n}") for n in range(3))
    for tx in (first, second, third):
        in_flight.accept(tx)
    in_flight.acknowledge(second, 0, 6)
    in_flight.acknowledge(first, 0, 5)
    unfolded.advance(0, 4)
    in_flight.read_back(0, "")
    assert len(in_flight) == 3
    unfolded.advance(0, 5)
    in_flight.read_back(0, "")
    assert [tx.tx_id for tx in in_flight.of_key(("card", "c"))] == ["t1", "t2"]
    unfolded.advance(0, 6)
    in_flight.read_back(0, "")
    in_flight.acknowledge(third, 0, 6)  # read past before the acknowledgement came
    assert len(in_flight) == 0


def test_a_failed_one_does_not_take_its_successor_along(in_flight):
    slow, successor = transaction("t"), transaction("t", card="c2")
    in_flight.accept(slow)
    in_flight.accept(successor)
    assert not in_flight.of_key(("card", "c"))
    in_flight.drop(slow)
    assert list(in_flight.of_key(("card", "c2"))) == [successor]
    in_flight.drop(successor)
    assert len(in_flight) == 0


def test_rows_are_those_of_the_requested_entity(unfolded):
    tx = Transaction(
        tx_id="t", ts=7, card_id="c", merchant_id="m", device_id="d", ip="10.0.0.1", amount_cents=100
    )
    read_into(unfolded, 0, 0, tx)
    for entity, key in keys_of(tx):
        assert unfolded.rows(entity, key, [-1, -1]) == [ROW_OF[entity](tx)]
    assert len(unfolded._by_key) == 4
    unfolded.prune([0, -1])
    assert not unfolded._by_key
