"""A reader that goes back accepts what a reader of the whole log accepts, and reads no more than it must."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudsim.log import acceptance as acceptance_module
from fraudsim.log import headers as h
from fraudsim.log.acceptance import Acceptance, Rejected
from fraudsim.log.clock import Clock, LoggedSegment
from fraudsim.log.events import Label, Transaction, encoder
from fraudsim.log.topics import LABELS, TRANSACTIONS
from testing.samples.log import T0, make_segment

WITHIN, BACK = 6, 4
HEADERS = ((h.SEGMENT, b"0"),)


@pytest.fixture(scope="module", autouse=True)
def short_memory():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(acceptance_module, "UNIQUE_WITHIN", WITHIN)
        patch.setattr(acceptance_module, "GO_BACK", BACK)
        yield


def new_acceptance():
    clock = Clock()
    clock.add(LoggedSegment(make_segment(), T0))
    return Acceptance(clock)


def is_duplicate(acceptance, topic, offset, name):
    """Whether the record is rejected as a duplicate; `name` is an id, or None for an unreadable record."""
    value = None
    if name is not None and topic == TRANSACTIONS:
        value = encoder.encode(Transaction(tx_id=name, ts=T0, card_id="c", amount_cents=1))
    elif name is not None:
        label = Label(
            tx_id=name, card_id="c", merchant_id="m", ts=T0, amount_cents=1, is_fraud=True, source="analyst",
            known_at=T0,
        )  # fmt: skip
        value = encoder.encode(label)
    accept = acceptance.transaction if topic == TRANSACTIONS else acceptance.label
    event = accept(0, offset, T0, HEADERS, value)
    return isinstance(event, Rejected) and event.kind == "duplicate"


def duplicates_of(names):
    """By definition: the same id among the previous `WITHIN` offsets."""
    return [
        name is not None and name in names[max(0, offset - WITHIN) : offset]
        for offset, name in enumerate(names)
    ]


@given(
    st.lists(st.sampled_from(["a", "b", "c", "d", None]), min_size=1, max_size=60),
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30)), max_size=8),
    st.sampled_from([TRANSACTIONS, LABELS]),
)
def test_duplicates_are_those_of_the_whole_log_wherever_reading_goes_on(names, moves, topic):
    expected, acceptance, began, reached = duplicates_of(names), new_acceptance(), 0, 0
    for anywhere, count in [*moves, (0, len(names))]:
        first = min(anywhere, len(names))
        start = acceptance.begin(topic, 0, first, 0)
        assert max(0, first - WITHIN) <= start <= first
        if start == reached < first:
            pass  # the memory ends within what is needed: what follows it is read on top
        elif start < first:  # not remembered: too far back, not read so far, or begun too late
            assert first < reached - BACK or first > reached or began > start
            began = start
        for offset in range(start, min(first + count, len(names))):
            duplicate = is_duplicate(acceptance, topic, offset, names[offset])
            if offset >= first:
                assert duplicate == expected[offset]
            reached = offset + 1
        reached = max(reached, start)


def test_partitions_and_topics_are_remembered_apart():
    acceptance = new_acceptance()
    assert acceptance.begin(TRANSACTIONS, 0, 20, 0) == 14
    assert acceptance.begin(TRANSACTIONS, 1, 20, 17) == 17
    assert acceptance.begin(LABELS, 0, 3, 0) == 0
    for offset in range(14, 30):
        is_duplicate(acceptance, TRANSACTIONS, offset, f"t{offset}")
    assert acceptance.begin(TRANSACTIONS, 0, 28, 0) == 28
    assert acceptance.begin(TRANSACTIONS, 1, 28, 0) == 22
    assert acceptance.remembered_from(TRANSACTIONS, 0) == 29 - WITHIN - BACK
