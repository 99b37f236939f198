"""What the page counts: transactions left over, seconds, money. Against the plain way of counting them."""

import math
import random
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.page.counts.seconds import EDGES_MS, RunLatencies, Seconds, nearest_rank
from dashboards.page.counts.seen_decision import SeenDecision
from dashboards.page.counts.undecided import Undecided
from fraudsim.log import topics
from fraudsim.log.events import DeadLetter
from producers.labels.consequences import Consequences
from producers.ledger.account import Basis
from producers.ledger.book import Posting, entries_of
from producers.ledger.entry import Fraud
from producers.ledger.ledger import ledger_of
from tests.dashboards.page.served_page import add, decision, label, record, state_of, transaction, truth

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
            undecided.add_decisions(0, [offset])
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
    half = len(latencies) // 2
    histogram.add(latencies[:half])
    histogram.add(latencies[half:])
    found = histogram.percentiles()
    for name, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999)):
        assert found[name] == pytest.approx(nearest_rank(sorted(latencies), share), rel=0.003, abs=0.001)
    assert found["max"] == round(max(latencies), 3)


def test_a_second_counts_each_latency_in_its_row_and_late_records_too():
    seconds = Seconds()
    rng = random.Random(3)
    latencies = [rng.uniform(0, 1500) for _ in range(300)]
    seconds.add(5, 200, latencies[:200])
    assert seconds.rows(7.0)[0].decisions == 200
    assert seconds.recent_ms(7.0, 2) == sorted(latencies[:200])
    seconds.add(5, 100, latencies[200:])
    assert seconds.recent_ms(7.0, 2) == sorted(latencies)
    (row,) = seconds.rows(7.0)
    lows = (-1, *EDGES_MS)
    rows = zip(lows, (*EDGES_MS, math.inf), strict=True)
    assert row.counts == [sum(low < latency <= high for latency in latencies) for low, high in rows]
    assert (row.decisions, row.second) == (300, 5)
    assert seconds.rate(7.0, 2) == 150
    assert seconds.rows(5.9) == [], "the second is not over"
    assert (seconds.silent_s(7.5), seconds.silent_s(5.9)) == (2.5, math.inf)


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


def test_calibration_is_of_the_decisions_with_a_probability_and_each_is_in_one_band():
    probabilities = [0.0, 0.001, 0.0011, 0.25, 0.3, 0.9, 1.0, None]
    decided = [decision(n, probability=p, action="approve") for n, p in enumerate(probabilities)]
    state = state_of(*decided, truth(3), truth(5), truth(7))
    bands = {band.to: (band.decisions, band.frauds) for band in state.calibration.bands if band.decisions}
    assert bands == {0.001: (2, 0), 0.003: (1, 0), 0.3: (2, 1), 1.0: (2, 1)}
    assert state.calibration.frauds == 2
    assert state.calibration.predicted == pytest.approx(sum(filter(None, probabilities)))


@pytest.mark.parametrize("at_once", [1, 3, 50])
def test_how_many_records_a_poll_brings_changes_nothing(at_once):
    rng = random.Random(5)
    decided = [decision(n, action=rng.choice(ACTIONS), probability=rng.random()) for n in range(60)]
    decided[7:7] = [decided[3], record(topics.DECISIONS, 9, b"{")]
    sent = [transaction(n) for n in range(64)]
    truths = [truth(n) for n in range(0, 60, 7)]
    whole, pieces = state_of(*truths, *sent, *decided), state_of(*truths, *sent, later_s=0.0)
    for first in range(0, len(decided), at_once):
        add(pieces, *decided[first : first + at_once])
    pieces.advance(60.0)
    now_s = time.time()
    for state in (whole, pieces):
        assert (state.decided, state.first.repeated, state.unreadable) == (60, 1, 1)
        assert (state.undecided.waiting, state.undecided.lost) == (4, 0)
    assert pieces.kinds.actions == whole.kinds.actions
    assert pieces.kinds.arms == whole.kinds.arms == {("m", "champion"): 60}
    assert pieces.money.by_truth == whole.money.by_truth
    assert pieces.latencies.percentiles() == whole.latencies.percentiles()
    assert pieces.seconds.rows(now_s) == whole.seconds.rows(now_s)
    assert pieces.kept.latest == whole.kept.latest
    assert [pieces.kept.raw(f"t{n}") for n in range(60)] == [whole.kept.raw(f"t{n}") for n in range(60)]


def test_a_repeated_decision_counts_once_and_what_cannot_be_read_is_counted():
    state = state_of(transaction(0), decision(0), decision(0), record(topics.DECISIONS, 9, b"\xff{"))
    assert (state.decided, state.first.repeated, state.unreadable) == (1, 1, 1)
