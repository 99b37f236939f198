"""What the label feed sends and when, from a source and decisions made by hand."""

import pytest

from fraudsim.log.events import Label, Transaction, Truth
from fraudsim.log.topics import LABELS, TRANSACTIONS, TRUTH
from producers.label_feed.feed import LabelFeed
from producers.labels.back_office import BackOffice
from producers.labels.consequences import Consequences
from producers.labels.outcome import DecidedPayment
from producers.sources.source import Item
from testing.samples.log import T0, make_segment

MINUTE = 60_000
SURE = Consequences(step_up_answered=1, step_up_fooled=0, step_up_slips=0, review_misses=0)
SEGMENT = make_segment(speed=100.0)


class Written:
    """Transactions a minute apart, every second feed fraud; the customer tells of each an hour later."""

    name = "written"
    start_ms = T0

    def items(self):
        items = []
        for n in range(10):
            ts, fraud = T0 + n * MINUTE, n % 2 == 1
            tx = Transaction(tx_id=f"t{n}", ts=ts, card_id="c", amount_cents=100)
            items.append(Item(ts, TRANSACTIONS, "c", tx))
            items.append(Item(ts, TRUTH, "c", Truth(tx_id=f"t{n}", is_fraud=fraud)))
            if fraud:
                label = Label(
                    tx_id=f"t{n}", card_id="c", ts=ts, amount_cents=100, is_fraud=True, source="customer",
                    known_at=ts + 60 * MINUTE,
                )  # fmt: skip
                items.append(Item(label.known_at, LABELS, "c", label))
        return iter(sorted(items, key=lambda item: item.due_ms))


def make_feed(logged=(), end_ms=float("inf")):
    office = BackOffice(SURE, 7, keep_ms=86_400_000)
    return LabelFeed(Written(), office, partitions=1, end_ms=end_ms, late_ms=0, logged=logged)


def decide(feed, actions, first=0):
    for offset, action in enumerate(actions, first):
        outcome = DecidedPayment(
            tx_id=f"t{offset}", ts=T0 + offset * MINUTE, card_id="c", amount_cents=100, score=0.5,
            action=action, source_offset=offset,
        )  # fmt: skip
        feed.add_decision(0, outcome)


def due(feed, minutes, wait=10**9):
    return [
        (x.tx_id, x.source, x.is_fraud) for x in feed.due_labels(T0 + round(minutes * MINUTE), SEGMENT, wait)
    ]


def test_labels_come_when_they_are_known_and_only_of_what_went_through():
    feed = make_feed()
    decide(feed, ["approve", "approve", "approve", "decline", "step_up", "step_up", *["approve"] * 4])
    replies = due(feed, 40)
    assert sorted(replies) == [("t4", "customer", False), ("t5", "customer", True)]
    assert due(feed, 60.9) == []
    assert due(feed, 61) == [("t1", "customer", True)]
    assert due(feed, 200) == [("t7", "customer", True), ("t9", "customer", True)]
    assert feed.withheld == 2


def test_the_stream_is_over_when_its_last_transactions_are_decided_whatever_the_clock_says():
    feed = make_feed(end_ms=T0 + 8 * MINUTE)
    decide(feed, ["approve"] * 6)
    assert not feed.is_decided_to_end(MINUTE)  # the eighth, at minute 7, is the last
    decide(feed, ["approve"], first=6)
    assert feed.is_decided_to_end(MINUTE)


def test_a_label_waits_for_the_decision_but_not_for_ever():
    feed = make_feed()
    decide(feed, ["approve"])
    assert due(feed, 62) == []
    decide(feed, ["approve"], first=1)
    assert due(feed, 63) == [("t1", "customer", True)]
    assert due(feed, 200, wait=MINUTE) == []
    assert feed.undecided == 0  # nothing after them is decided: the sender may be paused
    decide(feed, ["approve"], first=9)
    assert due(feed, 200, wait=MINUTE) == [("t9", "customer", True)]
    assert feed.undecided == 3


def test_at_the_end_of_the_stream_no_label_waits():
    feed = make_feed()
    decide(feed, ["approve"])
    assert due(feed, 200, wait=MINUTE) == []
    assert due(feed, 200, wait=0) == []
    assert feed.undecided == 5


def test_of_several_decisions_for_one_offset_the_first_stands():
    feed = make_feed()
    decide(feed, ["approve", "decline"])
    decide(feed, ["approve"], first=1)
    decide(feed, ["approve"] * 8, first=2)
    assert ("t1", "customer", True) not in due(feed, 200)


def test_started_again_it_sends_what_the_log_does_not_hold_yet():
    whole = make_feed()
    decide(whole, ["step_up"] * 10)
    every = due(whole, 200)
    again = make_feed(logged=every[:6])
    decide(again, ["step_up"] * 10)
    assert due(again, 200) == every[6:]
    assert again.report(True).sent == whole.report(True).sent


def test_what_comes_too_late_to_count_is_known_now():
    feed = make_feed()
    decide(feed, ["approve"] * 10)
    past = SEGMENT.past_ms
    labels = feed.due_labels(T0 + 61 * MINUTE + past, SEGMENT, 0)
    assert labels[0].known_at == T0 + 61 * MINUTE + past
    assert feed.delayed == len([x for x in labels if x.known_at == T0 + 61 * MINUTE + past]) >= 1


@pytest.mark.parametrize("end", [60, 61, 61.5])
def test_nothing_is_sent_that_is_known_after_the_end(end):
    feed = make_feed(end_ms=T0 + end * MINUTE)
    decide(feed, ["approve"] * 10)
    assert due(feed, 500) == ([("t1", "customer", True)] if end > 61 else [])
