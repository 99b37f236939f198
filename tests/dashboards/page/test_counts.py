"""What the page counts: transactions left over, seconds, money. Against the plain way of counting them."""

import math
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.page.counts.run_state import SeenDecision
from dashboards.page.counts.seconds import EDGES_MS, RunLatencies, Seconds, nearest_rank
from dashboards.page.counts.undecided import Undecided
from fraudsim.log import topics
from fraudsim.log.events import DeadLetter
from producers.labels.consequences import Consequences
from producers.ledger.account import Basis
from producers.ledger.book import Posting, entries_of
from producers.ledger.entry import Fraud
from producers.ledger.ledger import ledger_of
from tests.dashboards.page.served_page import decision, label, record, state_of, transaction, truth

ACTIONS = ("approve", "step_up", "review", "decline")


FATES = st.sampled_from(["decided", "dead", "repeat", "left"])


@given(st.lists(FATES, max_size=40), st.randoms(use_true_random=False))
def test_what_is_left_over_does_not_depend_on_which_stream_is_ahead(fates, rng):
    sent = [("tx", offset, "same" if fate == "repeat" else f"t{offset}") for offset, fate in enumerate(fates)]
    decided = [("decision", offset) for offset, fate in enumerate(fates) if fate == "decided"]
    dead = [("dead", offset) for offset, fate in enumerate(fates) if fate == "dead"]
    queues = [queue for queue in (sent, decided, dead) if queue]
    undecided = Undecided()
    while queues:
        queue = rng.choice(queues)
        kind, offset, *tx_id = queue.pop(0)
        if kind == "tx":
            undecided.add_transaction(0, offset, tx_id[0])
        elif kind == "decision":
            undecided.add_decision(0, offset)
        else:
            undecided.add_dead_letter(0, offset)
        queues = [queue for queue in queues if queue]
    left = [offset for offset, fate in enumerate(fates) if fate == "left"]
    first_same = [fates.index("repeat")] if "repeat" in fates else []
    last_decided = max((offset for offset, fate in enumerate(fates) if fate == "decided"), default=-1)
    assert undecided.waiting == len(left) + len(first_same)
    assert undecided.lost == sum(offset < last_decided for offset in left + first_same)
    assert undecided.repeats == max(0, fates.count("repeat") - 1)
    assert undecided.sent == len(fates) - undecided.repeats


def test_a_record_that_became_a_dead_letter_is_not_lost():
    letter = DeadLetter(
        topic=topics.TRANSACTIONS, partition=0, offset=1, reason="r", field="f", size_bytes=1, raw_base64="",
        broker_ts_ms=1,
    )  # fmt: skip
    records = [transaction(0), record(topics.TRANSACTIONS, 1, b"{"), transaction(2), decision(0), decision(2)]
    assert state_of(*records).undecided.lost == 1
    state = state_of(*records, record(topics.DEAD_LETTERS, 0, letter), record(topics.DEAD_LETTERS, 1, letter))
    assert (state.undecided.lost, state.undecided.waiting, state.dead_letters) == (0, 0, 1)


@given(st.lists(st.floats(0, 1e5), min_size=1), st.sampled_from([0.5, 0.9, 0.99, 0.999]))
def test_a_percentile_is_a_value_that_so_many_do_not_exceed(values, share):
    ascending = sorted(values)
    expected = ascending[max(math.ceil(len(values) * round(share * 1000) / 1000), 1) - 1]
    assert nearest_rank(ascending, share) == expected


@given(st.lists(st.floats(0.02, 1e5), min_size=1, max_size=300))
def test_a_run_s_percentiles_are_within_the_histogram_s_step(latencies):
    histogram = RunLatencies()
    for latency in latencies:
        histogram.add(latency)
    found = histogram.percentiles()
    for name, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999)):
        assert found[name] == pytest.approx(nearest_rank(sorted(latencies), share), rel=0.003, abs=0.001)
    assert found["max"] == round(max(latencies), 3)


def test_a_second_counts_each_latency_in_its_row_and_late_records_too():
    seconds = Seconds()
    rng = random.Random(3)
    latencies = [rng.uniform(0, 1500) for _ in range(300)]
    for latency in latencies[:200]:
        seconds.add(5_400, latency)
    assert seconds.rows(7.0)[0].decisions == 200
    for latency in latencies[200:]:
        seconds.add(5_999, latency)
    (row,) = seconds.rows(7.0)
    lows = (-1, *EDGES_MS)
    rows = zip(lows, (*EDGES_MS, math.inf), strict=True)
    assert row.counts == [sum(low < latency <= high for latency in latencies) for low, high in rows]
    assert (row.decisions, row.second) == (300, 5)
    assert seconds.recent(7.0, 2)[0] == 150
    assert seconds.rows(5.9) == [], "the second is not over"


@pytest.mark.parametrize("seed", range(3))
def test_money_is_the_ledger_of_the_same_decisions(seed):
    rng = random.Random(seed)
    frauds = {n: f"campaign-{rng.randrange(4)}" for n in range(400) if rng.random() < 0.2}
    records = [
        decision(n, action=rng.choice(ACTIONS), amount_cents=rng.randrange(1, 50_000)) for n in range(400)
    ]
    truths = [truth(n, campaign=campaign) for n, campaign in frauds.items()]
    rng.shuffle(truths)
    state = state_of(*truths[:20], *records, *truths[20:])
    postings = [
        Posting(
            msgspec.json.decode(decided.value, type=SeenDecision),
            Fraud("card_testing", frauds[n]) if n in frauds else None,
        )
        for n, (_, decided) in enumerate(records)
    ]
    ledger = state.money.by_truth
    for entry in state.money._book.close():
        ledger.add(entry)
    expected = ledger_of(entries_of(postings, Consequences(), 7), Basis(1000, 400))
    assert ledger == expected
    assert expected.total.fraud_paid_cents > 0


def test_labels_count_a_fraud_once_and_only_if_it_was_paid():
    decisions = [decision(0), decision(1, action="decline"), decision(2)]
    state = state_of(*decisions, label(0), label(0), label(1), label(2, is_fraud=False), truth(2))
    assert state.money.by_labels.total.fraud_paid_cents == 10_000
    assert state.money.by_labels.total.insult_cents == 0, "a bank does not know that it was honest"
    assert state.money.by_truth.total.fraud_paid_cents == 10_000
    early = state_of(label(5), decision(5))
    assert early.money.by_labels.total.fraud_paid_cents == 10_000


def test_what_holding_a_payment_cost_by_labels_does_not_tell_a_fraud():
    held = [decision(0, action="review"), decision(1)]
    honest, fraud = state_of(*held), state_of(*held, truth(0))
    assert honest.money.by_labels.total.friction_cents == fraud.money.by_labels.total.friction_cents


def test_a_repeated_decision_counts_once_and_what_cannot_be_read_is_counted():
    state = state_of(transaction(0), decision(0), decision(0), record(topics.DECISIONS, 9, b"\xff{"))
    assert (state.decided, state.first.repeated, state.unreadable) == (1, 1, 1)
