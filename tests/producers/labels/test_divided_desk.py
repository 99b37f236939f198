"""Analysts divided between the arms of an experiment: what an arm sends changes nothing for another."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudsim.log.events import Assignment, encoder
from producers.labels.back_office import BackOffice
from producers.labels.consequences import HOUR_MS, MINUTE_MS, Consequences
from producers.labels.divided_desk import ArmShare, DividedDesk
from producers.labels.outcome import DecidedPayment
from producers.ledger.book import Posting, entries_of

SEED = 7
TIGHT = Consequences(analysts=1, review_minutes=60, review_queue=4, review_patience_hours=3, hold_hours=2)
ARMS = [ArmShare("", 0.75), ArmShare("b", 0.25)]
BUSY = 4 * 24 * HOUR_MS


@st.composite
def payments_of_two_arms(draw):
    """Payments under review by event time; the share grows once, as a stage does."""
    step = st.tuples(
        st.sampled_from([0, 1, MINUTE_MS, 20 * MINUTE_MS, 4 * HOUR_MS]),
        st.booleans(),
        st.sampled_from([1, 999, 25_000]),
        st.booleans(),
    )
    ts, payments = 10**9, []
    steps = draw(st.lists(step, max_size=40))
    for number, (gap, in_b, cents, is_fraud) in enumerate(steps):
        ts += gap
        share = 0.05 if number < len(steps) // 2 else 0.25
        arm = ArmShare("b", share) if in_b else ArmShare("", 1 - share)
        payment = DecidedPayment(
            tx_id=f"t{number}", ts=ts, card_id=f"c{number}", amount_cents=cents, action="review", score=0.5,
            channel="ecommerce", assignment=arm,
        )  # fmt: skip
        payments.append((payment, is_fraud))
    return payments


def labels_of(payments):
    office = BackOffice(TIGHT, SEED, keep_ms=10**12)
    labels = []
    for payment, is_fraud in payments:
        labels += office.advance(payment.ts)
        labels += office.on_decision(payment, is_fraud)
    return labels + office.advance(10**12)


@settings(max_examples=150, deadline=None)
@given(payments_of_two_arms())
def test_an_arm_s_verdicts_and_entries_depend_on_its_own_cards_only(payments):
    labels = labels_of(payments)
    entries = entries_of([Posting(payment) for payment, _ in payments], TIGHT, SEED)
    for arm in ("", "b"):
        own = [item for item in payments if item[0].assignment.arm == arm]
        ids = {payment.tx_id for payment, _ in own}
        assert [label for label in labels if label.tx_id in ids] == labels_of(own)
        alone = entries_of([Posting(payment) for payment, _ in own], TIGHT, SEED)
        by_id = {entry.payment.tx_id: entry for entry in entries if entry.payment.tx_id in ids}
        assert by_id == {entry.payment.tx_id: entry for entry in alone}


@pytest.mark.parametrize("analysts", [1, 2, 3])
def test_a_busy_desk_gives_each_arm_its_share_of_the_reviews(analysts):
    rules = Consequences(analysts=analysts, review_minutes=10, review_queue=10_000, review_patience_hours=200)
    desk = DividedDesk(rules)
    for number in range(3_000):
        desk.add((number, "b" if number % 2 else ""), 0, 1.0, ARMS[number % 2])
    reviewed = desk.advance(BUSY)
    of_b = sum(case.case[1] == "b" for case in reviewed)
    whole = analysts * BUSY // (10 * MINUTE_MS)
    assert of_b == pytest.approx(whole / 4, abs=analysts)
    assert len(reviewed) == pytest.approx(whole, abs=2 * analysts)


def test_a_small_arm_waits_no_longer_for_a_verdict_that_an_analyst_is_free_for():
    desk = DividedDesk(Consequences(analysts=1, review_minutes=10))
    desk.add("of B", 0, 1.0, ArmShare("b", 0.01))
    desk.add("next of B", 0, 1.0, ArmShare("b", 0.01))
    first, second = desk.advance(BUSY)
    assert first.done_ms == 10 * MINUTE_MS
    assert second.done_ms == 1_000 * MINUTE_MS + 10 * MINUTE_MS


def test_the_queue_is_divided_too():
    desk = DividedDesk(Consequences(analysts=0, review_queue=200))
    for number in range(50):
        desk.add(number, number, float(number), ArmShare("b", 0.05))
        desk.add(-number, number, float(number), ArmShare("", 0.95))
    assert desk.advance(60) == []
    assert (desk.waiting, desk.crowded_out) == (60, 40)


def test_a_logged_assignment_is_read_as_the_arm_and_earlier_ones_as_no_arm():
    logged = Assignment(salt="s", bucket=3, first=0, end=500, model_version="m", arm="m", share=0.05)
    assert msgspec.json.decode(encoder.encode(logged), type=ArmShare) == ArmShare("m", 0.05)
    earlier = b'{"salt":"s","bucket":3,"first":0,"end":500,"model_version":"m"}'
    assert msgspec.json.decode(earlier, type=ArmShare) == ArmShare()
    with pytest.raises(msgspec.ValidationError, match="share"):
        msgspec.json.decode(b'{"arm":"m","share":0}', type=ArmShare)
