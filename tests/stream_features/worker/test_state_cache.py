"""The worker's cache of states: bounded by bytes, the least recently folded dropped first."""

from fraudsim.log.events import Label, Transaction
from fraudsim.log.partitioning import slot_of
from stream_features.catalogue.features import HASH, MINUTE
from stream_features.kernels import state
from stream_features.kernels.state import UNREADABLE
from stream_features.store.keys import blob_key
from stream_features.store.watermark import Watermark, encode_watermark
from stream_features.worker.slot_states import SlotStates
from stream_features.worker.state_cache import ENTRY_BYTES, StateCache


def of_bytes(size):
    return bytes(size)


def key(n):
    return ("card", f"c{n}")


def test_the_bound_is_of_bytes_whatever_their_number():
    cache = StateCache(limit_bytes=10 * (ENTRY_BYTES + 800))
    for n in range(1_000):
        cache.put(key(n), of_bytes(800))
        cache.trim()
    assert len(cache) == 10
    cache.put(key("large"), of_bytes(8 * (ENTRY_BYTES + 800) - ENTRY_BYTES))
    cache.trim()
    assert len(cache) == 3
    assert key("large") in cache
    assert key(999) in cache
    assert key(997) not in cache


def test_what_was_folded_longest_ago_goes_first():
    cache = StateCache(limit_bytes=2 * (ENTRY_BYTES + 80))
    for n in (1, 2, 1, 3):
        cache.put(key(n), of_bytes(80))
    cache.trim()
    assert [n for n in (1, 2, 3) if key(n) in cache] == [1, 3]


def test_the_bytes_are_those_of_what_is_there():
    cache = StateCache()
    cache.put(key(1), of_bytes(80))
    cache.put(key(1), of_bytes(800))
    cache.put(key(2), UNREADABLE)
    assert cache.bytes == 2 * ENTRY_BYTES + 800
    assert cache[key(2)] == UNREADABLE


def test_a_slot_keeps_no_more_than_its_bound_and_reads_again_what_it_dropped():
    slot_states = SlotStates(partitions=1, slots=1, horizon_ms=2 * MINUTE)
    assert slot_of("card", "c0", 1) == 0
    watermark = Watermark(log_id="log", generation="g", catalogue=HASH, history="", slots=1, offsets=(-1, -1))
    slot_states.own(0, encode_watermark(watermark))
    slot = slot_states.owned[0]
    slot.states = StateCache(limit_bytes=5 * (ENTRY_BYTES + 100))
    for n in range(40):
        slot_states.add_transaction(0, n, Transaction(tx_id=f"t{n}", ts=n, card_id=f"c{n}", amount_cents=1))
        slot_states.advance(0, n)
        for number, missing in slot_states.missing_states():
            assert slot_states.load_state(number, missing, None)
        (write,) = slot_states.fold()
        slot_states.mark_written(write)
    assert 1 <= len(slot.states) <= 8
    assert slot.states.bytes <= 5 * (ENTRY_BYTES + 100)
    slot_states.add_transaction(0, 40, Transaction(tx_id="t40", ts=40, card_id="c0", amount_cents=1))
    assert slot_states.missing_states() == [(0, ("card", "c0"))]


def test_a_transaction_is_folded_into_all_its_entities_and_a_label_into_its_merchant():
    slot_states = SlotStates(partitions=2, slots=4, horizon_ms=2 * MINUTE)
    for slot in range(4):
        watermark = Watermark(
            log_id="log", generation="g", catalogue=HASH, history="", slots=4, offsets=(-1, -1, -1, -1)
        )
        slot_states.own(slot, encode_watermark(watermark))
    full = Transaction(
        tx_id="a", ts=5, card_id="c", amount_cents=1, device_id="d", merchant_id="m", ip="1.2.3.4"
    )
    bare = Transaction(tx_id="b", ts=3, card_id="c", amount_cents=1)
    slot_states.add_transaction(0, 0, full)
    slot_states.add_transaction(1, 0, bare)
    for offset, (tx, merchant) in enumerate(((full, "m"), (bare, None))):
        label = Label(
            tx_id=tx.tx_id, card_id="c", merchant_id=merchant, ts=tx.ts, amount_cents=1, is_fraud=True,
            source="customer", known_at=9,
        )  # fmt: skip
        slot_states.add_label(0, offset, label)
    for source in range(4):
        slot_states.advance(source, 1)
    for slot, missing in slot_states.missing_states():
        assert slot_states.load_state(slot, missing, None)
    blobs = {name: blob for write in slot_states.fold() for name, blob in write.blobs.items()}
    keys = [("card", "c"), ("device", "d"), ("merchant", "m"), ("ip", "1.2.3.4")]
    assert blobs.keys() == {blob_key(slot_of(*key, 4), *key) for key in keys}
    by_entity = {key[0]: state.from_bytes(key[0], blobs[blob_key(slot_of(*key, 4), *key)]) for key in keys}
    assert [by_entity[entity][1] for entity in ("card", "device", "merchant", "ip")] == [2, 1, 1, 1]
    assert (by_entity["merchant"][3], by_entity["ip"][3]) == (1, 0)


def test_a_slot_taken_again_as_it_was_left_keeps_its_states_and_no_others():
    slot_states = SlotStates(1, 1, MINUTE)
    stored = encode_watermark(
        Watermark(log_id="log", generation="g", catalogue=HASH, history="", slots=1, offsets=(-1, -1))
    )

    def fold(offset):
        slot_states.add_transaction(
            0, offset, Transaction(tx_id=f"t{offset}", ts=0, card_id="c", amount_cents=1)
        )
        for slot, key in slot_states.missing_states():
            slot_states.load_state(slot, key, None)
        slot_states.advance(0, offset)
        return slot_states.fold()[0]

    def cached():
        return len(slot_states.owned[0].states)

    slot_states.own(0, stored)
    fold(0)
    slot_states.own(0, stored)  # the outcome of the write is unknown: Redis holds the old watermark
    assert cached() == 0
    write = fold(0)
    slot_states.mark_written(write)
    slot_states.own(0, write.watermark)
    assert cached() == 1
    slot_states.own(0, encode_watermark(slot_states.owned[0].watermark.advance_to([7, -1])))
    assert cached() == 0
