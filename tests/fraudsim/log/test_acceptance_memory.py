"""A reader that goes back judges as one that has read the whole log, and reads again no more than it must."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudsim.log import acceptance as validity
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


def new_judge():
    clock = Clock()
    clock.add(LoggedSegment(make_segment(), T0))
    return Acceptance(clock)


def is_repeat(judge, topic, offset, name):
    """Whether the record counts as a repeat; `name` is an id, or None for a record that cannot be read."""
    value = None
    if name is not None and topic == TRANSACTIONS:
        value = encoder.encode(Transaction(tx_id=name, ts=T0, card_id="c", amount_cents=1))
    elif name is not None:
        label = Label(
            tx_id=name, card_id="c", merchant_id="m", ts=T0, amount_cents=1, is_fraud=True, source="analyst",
            known_at=T0,
        )  # fmt: skip
        value = encoder.encode(label)
    verdict = (judge.transaction if topic == TRANSACTIONS else judge.label)(0, offset, T0, HEADERS, value)
    return isinstance(verdict, Rejected) and verdict.kind == "duplicate"


def repeats_of(names):
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
def test_verdicts_are_those_of_the_whole_log_wherever_reading_goes_on(names, moves, topic):
    wanted, judge, began, reached = repeats_of(names), new_judge(), 0, 0
    for anywhere, count in [*moves, (0, len(names))]:
        first = min(anywhere, len(names))
        at = judge.begin(topic, 0, first, 0)
        assert max(0, first - WITHIN) <= at <= first
        if at < first:  # it could not be remembered: too far back, not judged so far, or begun too late
            assert first < reached - BACK or first > reached or began > at
            began = at
        for offset in range(at, min(first + count, len(names))):
            found = is_repeat(judge, topic, offset, names[offset])
            if offset >= first:
                assert found == wanted[offset]
            reached = offset + 1
        reached = max(reached, at)


def test_partitions_and_topics_are_remembered_apart():
    judge = new_judge()
    assert judge.begin(TRANSACTIONS, 0, 20, 0) == 14
    assert judge.begin(TRANSACTIONS, 1, 20, 17) == 17
    assert judge.begin(LABELS, 0, 3, 0) == 0
    for offset in range(14, 30):
        is_repeat(judge, TRANSACTIONS, offset, f"t{offset}")
    assert judge.begin(TRANSACTIONS, 0, 28, 0) == 28
    assert judge.begin(TRANSACTIONS, 1, 28, 0) == 22
    assert judge.whole_from(TRANSACTIONS, 0) == 29 - WITHIN - BACK
