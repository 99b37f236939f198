"""What a packet carries to a slot equals what a worker that owns it collects."""

from hypothesis import given
from hypothesis import strategies as st

from fraudsim.log.acceptance import Rejected
from fraudsim.log.events import Label, Transaction
from stream_features.catalogue.features import WINDOWED
from stream_features.worker.slot_states import SlotStates
from stream_features.worker.spark.slot_packets import SlotRouter, decode_packet

SLOTS, PARTITIONS = 3, 2
ids = st.sampled_from(["a", "b", "c", "d", "e"])
transactions = st.builds(
    Transaction, tx_id=ids, ts=st.integers(0, 9), card_id=ids, amount_cents=st.integers(1, 9),
    merchant_id=st.none() | ids, device_id=st.none() | ids, ip=st.none() | ids,
)  # fmt: skip
labels = st.builds(
    Label, tx_id=ids, card_id=ids, merchant_id=st.none() | ids, ts=st.integers(0, 9),
    amount_cents=st.integers(1, 9), is_fraud=st.booleans(), source=st.sampled_from(["analyst", "customer"]),
    known_at=st.integers(0, 9),
)  # fmt: skip


class Recorder:
    """Stands for the pending rows of one entity."""

    def __init__(self):
        self.rows = []

    def add_row(self, key, row):
        self.rows.append((key, tuple(row)))

    add_label = add_row


class RecordedSlot:
    """Stands for an owned slot that has folded nothing."""

    def __init__(self):
        self.pending = {entity: Recorder() for entity in WINDOWED}
        self.watermark = type("Watermark", (), {"offsets": (-1,) * (2 * PARTITIONS)})


@given(st.lists(transactions, max_size=12) | st.lists(labels, max_size=12))
def test_packets_carry_the_rows_that_an_owner_collects(events):
    is_label = bool(events) and isinstance(events[0], Label)
    source = PARTITIONS + 1 if is_label else 1
    router = SlotRouter(source, PARTITIONS, SLOTS, -1)
    owner = SlotStates(PARTITIONS, SLOTS, 60_000)
    owner.owned = {slot: RecordedSlot() for slot in range(SLOTS)}
    for offset, event in enumerate(events):
        assert not router.add(offset, event)
        (owner.add_label if is_label else owner.add_transaction)(1, offset, event)
    packets = {slot: decode_packet(packet) for slot, packet in router.packets()}
    for slot, recorded in owner.owned.items():
        rows = {entity: [] for entity in WINDOWED}
        for _, entity, key, row in packets[slot].rows() if slot in packets else ():
            rows[entity].append((key, tuple(row)))
        assert rows == {entity: recorder.rows for entity, recorder in recorded.pending.items()}
    counts = packets[1].counts  # the home of partition 1
    assert counts.accepted == len(events)
    assert all(packet.counts is None for slot, packet in packets.items() if slot != 1)


def test_what_the_home_slot_has_folded_is_not_counted_and_gets_no_second_dead_letter():
    router = SlotRouter(0, PARTITIONS, SLOTS, home_offset=4)
    invalid, duplicate = Rejected("invalid", "ts", "too late"), Rejected("duplicate", "tx_id", "seen", "a")
    written = [offset for offset in range(8) if router.add(offset, invalid)]
    for offset in range(8, 10):
        router.add(offset, duplicate)
    assert written == [5, 6, 7]
    ((slot, packet),) = router.packets()
    counts = decode_packet(packet).counts
    assert slot == 0
    assert (counts.accepted, counts.duplicates, counts.dead_letters) == (0, 2, {"ts": 3})
