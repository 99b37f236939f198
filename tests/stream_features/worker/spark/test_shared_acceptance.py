"""Tasks that run anywhere accept what one reader of the whole log accepts."""

from types import SimpleNamespace

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


def new_process():
    clock = Clock()
    clock.add(LoggedSegment(make_segment(), T0))
    return Acceptance(clock)


def records_of(topic, names):
    return [SimpleNamespace(offset=i, timestamp=T0, headers=HEADERS, value=value_of(topic, name))
            for i, name in enumerate(names)]  # fmt: skip


def value_of(topic, name):
    if name is None:
        return b"not an event"
    if topic == TRANSACTIONS:
        return encoder.encode(Transaction(tx_id=name, ts=T0, card_id="c", amount_cents=1))
    return encoder.encode(
        Label(
            tx_id=name, card_id="c", merchant_id="m", ts=T0, amount_cents=1, is_fraud=True, source="analyst",
            known_at=T0,
        )
    )  # fmt: skip


def accepted_by_task(process, topic, log, start, end):
    """What a task of a batch [start, end) accepts: it reads from where its memory allows."""
    first = process.begin(topic, 0, start, 0)
    assert max(0, start - WITHIN) <= first <= start
    events = process.events(topic, 0, log[first:end], first)
    return [record.offset for record, event in events if record.offset >= start
            and not isinstance(event, Rejected)]  # fmt: skip


@given(
    st.lists(st.sampled_from(["a", "b", "c", "d", None]), min_size=1, max_size=60),
    st.lists(st.tuples(st.integers(1, 15), st.integers(0, 2), st.booleans(), st.booleans()), max_size=20),
    st.sampled_from([TRANSACTIONS, LABELS]),
)
def test_batches_in_any_process_killed_or_run_twice_accept_what_one_reading_does(names, batches, topic):
    log = records_of(topic, names)
    whole = accepted_by_task(new_process(), topic, log, 0, len(log))
    processes = [new_process() for _ in range(3)]
    start, by_tasks = 0, []
    for size, number, killed_before, run_twice in [*batches, (len(log), 0, False, False)]:
        if killed_before:
            processes[number] = new_process()
        end = min(start + size, len(log))
        accepted = accepted_by_task(processes[number], topic, log, start, end)
        if run_twice:
            assert accepted_by_task(processes[(number + 1) % 3], topic, log, start, end) == accepted
            assert accepted_by_task(processes[number], topic, log, start, end) == accepted
        by_tasks += accepted
        start = end
    assert by_tasks == whole
    assert whole == [i for i, name in enumerate(names)
                     if name is not None and name not in names[max(0, i - WITHIN) : i]]  # fmt: skip


def test_a_process_that_missed_batches_reads_only_those():
    log = records_of(TRANSACTIONS, [f"t{i}" for i in range(40)])
    process = new_process()
    accepted_by_task(process, TRANSACTIONS, log, 0, 20)
    assert process.begin(TRANSACTIONS, 0, 23, 0) == 20
    assert process.begin(TRANSACTIONS, 0, 39, 0) == 39 - WITHIN
