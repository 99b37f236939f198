"""Blocks: by which labels, from when to when, lifted by what; against a plain reading of the same labels."""

from hypothesis import given
from hypothesis import strategies as st

from fraudsim.log.events import Block, Label
from producers.labels import blocks as module
from producers.labels.blocks import CardBlocks

HOUR = 3_600_000


def label(tx_id="t", source="customer", known_at=1_000, is_fraud=True, card_id="c"):
    return Label(
        tx_id=tx_id, card_id=card_id, ts=0, amount_cents=1, is_fraud=is_fraud, source=source,
        known_at=known_at,
    )  # fmt: skip


def blocks_of(*labels, block_ms=HOUR):
    blocks = CardBlocks(block_ms)
    for one in labels:
        blocks.add(one)
    return blocks


def test_a_report_blocks_its_card_strictly_after_it_is_known_and_for_the_stated_time():
    blocks = blocks_of(label())
    block = Block(tx_id="t", source="customer", from_ms=1_000, until_ms=1_000 + HOUR)
    assert blocks.at("c", 1_000) is None
    assert blocks.at("c", 1_001) == blocks.at("c", 1_000 + HOUR - 1) == block
    assert blocks.at("c", 1_000 + HOUR) is None
    assert blocks.at("another", 1_001) is None


def test_an_analyst_blocks_and_a_chargeback_does_not():
    assert blocks_of(label(source="analyst")).at("c", 2_000).source == "analyst"
    assert blocks_of(label(source="chargeback")).at("c", 2_000) is None


def test_a_later_verdict_of_honesty_on_the_same_transaction_lifts_its_block_only():
    cleared = label(source="analyst", known_at=5_000, is_fraud=False)
    blocks = blocks_of(label(), cleared)
    assert blocks.at("c", 5_000) is not None
    assert blocks.at("c", 5_001) is None
    blocks = blocks_of(label(), label("other", known_at=900), cleared)
    assert blocks.at("c", 5_001).tx_id == "other"


def test_a_report_after_the_all_clear_blocks():
    confirmed = label(known_at=900, is_fraud=False)
    assert blocks_of(confirmed, label()).at("c", 2_000) is not None
    assert blocks_of(label(known_at=800), confirmed, label()).at("c", 2_000).from_ms == 1_000


def test_without_a_duration_no_card_is_blocked():
    blocks = blocks_of(label(), block_ms=0)
    assert blocks.at("c", 1_001) is None
    assert len(blocks) == 0


LABELS = st.lists(
    st.builds(
        label,
        tx_id=st.sampled_from("tuv"),
        source=st.sampled_from(["customer", "analyst", "chargeback"]),
        known_at=st.integers(0, 40),
        is_fraud=st.booleans(),
        card_id=st.sampled_from("cd"),
    ),
    max_size=12,
)


def plain_block(labels, card_id, ts, block_ms):
    """The block by its definition, from all labels at once."""
    found = []
    for one in labels:
        if one.card_id != card_id or not one.is_fraud or one.source == "chargeback":
            continue
        if not one.known_at < ts < one.known_at + block_ms:
            continue
        lifts = [
            other for other in labels
            if other.tx_id == one.tx_id and other.card_id == card_id and not other.is_fraud
            and one.known_at < other.known_at < ts
        ]  # fmt: skip
        if not lifts:
            found.append((one.known_at, one.source, one.tx_id))
    if not found:
        return None
    known_at, source, tx_id = max(found)
    return Block(tx_id=tx_id, source=source, from_ms=known_at, until_ms=known_at + block_ms)


@given(LABELS, st.integers(0, 60), st.integers(1, 30), st.integers(0, 60))
def test_blocks_are_what_the_definition_says_also_after_pruning(labels, ts, block_ms, pruned):
    in_order = sorted(labels, key=lambda one: (one.known_at, one.tx_id, one.source, one.is_fraud))
    blocks = blocks_of(*in_order, block_ms=block_ms)
    blocks.prune(min(pruned, ts))
    for card_id in "cd":
        assert blocks.at(card_id, ts) == plain_block(labels, card_id, ts, block_ms)


def test_what_has_ended_is_forgotten_and_what_is_too_much_is_dropped(monkeypatch):
    blocks = blocks_of(label(known_at=1), label("u", known_at=5))
    blocks.prune(1 + HOUR)
    assert len(blocks) == 1
    assert blocks.at("c", 6).tx_id == "u"
    blocks.prune(5 + HOUR)
    assert (len(blocks), blocks._reports) == (0, {})
    monkeypatch.setattr(module, "MAX_VERDICTS", 2)
    blocks = blocks_of(*(label(f"t{n}", known_at=n) for n in range(4)))
    assert (len(blocks), blocks.dropped) == (2, 2)
