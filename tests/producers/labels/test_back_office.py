"""Which labels a decision leads to, and which of the world's own can still come after it."""

import pytest

from fraudsim.log.events import Label
from producers.labels.back_office import BackOffice
from producers.labels.consequences import MINUTE_MS, Consequences
from producers.labels.outcome import DecidedPayment

DAY_MS = 86_400_000
SURE = Consequences(
    step_up_answered=1, step_up_fooled=0, step_up_slips=0, review_misses=0, review_false_alarms=0
)


def outcome(action, tx_id="t", ts=1_000_000, score=0.5, amount=1_000, channel="pos", rule_hits=()):
    return DecidedPayment(
        tx_id=tx_id, ts=ts, card_id="c", merchant_id="m", amount_cents=amount, score=score, action=action,
        source_offset=0, channel=channel, rule_hits=list(rule_hits),
    )  # fmt: skip


def world_label(source, tx_id="t", known_at=9_000_000):
    return Label(
        tx_id=tx_id, card_id="c", ts=0, amount_cents=1, is_fraud=True, source=source, known_at=known_at
    )


def admits(desk, label):
    return desk.admitted_from_ms(label) == label.known_at


def office(**changes):
    rules = {name: getattr(SURE, name) for name in SURE.__dataclass_fields__}
    return BackOffice(Consequences(**{**rules, **changes}), 7, keep_ms=DAY_MS)


def test_an_approved_payment_is_reported_as_the_world_has_it():
    desk = office()
    assert desk.on_decision(outcome("approve"), True) == []
    assert all(admits(desk, world_label(source)) for source in ("customer", "chargeback", "analyst"))


def test_a_declined_payment_gets_no_label():
    desk = office()
    assert desk.on_decision(outcome("decline"), True) == []
    assert not any(admits(desk, world_label(source)) for source in ("customer", "chargeback", "analyst"))
    assert admits(desk, world_label("customer", "another"))


@pytest.mark.parametrize("is_fraud", [True, False])
def test_a_step_up_is_answered_and_goes_through_where_it_is_confirmed(is_fraud):
    desk = office()
    (label,) = desk.on_decision(outcome("step_up"), is_fraud)
    assert (label.source, label.is_fraud) == ("customer", is_fraud)
    assert (label.tx_id, label.card_id, label.merchant_id, label.amount_cents) == ("t", "c", "m", 1_000)
    assert 1_000_000 < label.known_at <= 1_000_000 + 30 * MINUTE_MS
    assert admits(desk, world_label("chargeback")) != is_fraud


def test_a_fooled_victim_confirms_and_the_chargeback_still_comes():
    desk = office(step_up_fooled=1)
    (label,) = desk.on_decision(outcome("step_up"), True)
    assert not label.is_fraud
    assert admits(desk, world_label("chargeback"))


def test_what_nobody_answers_does_not_go_through():
    desk = office(step_up_answered=0)
    assert desk.on_decision(outcome("step_up"), True) == []
    assert not admits(desk, world_label("customer"))
    assert desk.counts["step_up_unanswered"] == 1


def test_a_review_goes_through_and_its_verdict_comes_when_an_analyst_had_the_time():
    desk = office(analysts=1, review_minutes=10)
    assert desk.on_decision(outcome("review", "small", amount=100), False) == []
    assert desk.on_decision(outcome("review", "large", amount=90_000), True) == []
    labels = desk.advance(1_000_000 + 60 * MINUTE_MS)
    labels_found = [
        (label.tx_id, label.is_fraud, label.source, label.known_at - 1_000_000) for label in labels
    ]
    assert labels_found == [
        ("large", True, "analyst", 10 * MINUTE_MS),
        ("small", False, "analyst", 20 * MINUTE_MS),
    ]
    assert admits(desk, world_label("customer", "large"))
    assert not admits(desk, world_label("analyst", "large"))


def test_more_reviews_than_analysts_can_see_are_counted():
    desk = office(analysts=1, review_queue=3, review_minutes=10, review_patience_hours=0.25, hold_hours=0)
    for number in range(10):
        desk.on_decision(outcome("review", f"t{number}"), True)
    assert len(desk.advance(1_000_000 + DAY_MS)) == 2
    assert desk.counts["review_crowded_out"] == 6
    assert desk.counts["review_gone_stale"] == 2


def test_what_is_too_old_for_labels_is_forgotten():
    desk = office()
    desk.on_decision(outcome("decline"), True)
    desk.advance(1_000_000 + DAY_MS + 1)
    assert admits(desk, world_label("customer"))


def test_a_held_payment_that_an_analyst_calls_fraud_is_never_reported_by_anybody_else():
    desk = office()
    desk.on_decision(outcome("review", channel="ecommerce"), True)
    held = world_label("customer", known_at=1_000_000 + MINUTE_MS)
    assert desk.admitted_from_ms(held) == 1_000_000 + 12 * 60 * MINUTE_MS  # the longest that it is held
    (label,) = desk.advance(1_000_000 + 60 * MINUTE_MS)
    assert label.is_fraud
    assert desk.admitted_from_ms(held) is None
    assert (desk.counts["review_held"], desk.counts["review_stopped"]) == (1, 1)


def test_a_label_of_a_held_payment_waits_for_the_end_of_the_hold():
    desk = office(review_misses=1)
    desk.on_decision(outcome("review", channel="ecommerce"), True)
    (label,) = desk.advance(1_000_000 + 60 * MINUTE_MS)
    early, late = (world_label("customer", known_at=1_000_000 + n * MINUTE_MS) for n in (5, 15))
    assert desk.admitted_from_ms(early) == label.known_at
    assert desk.admitted_from_ms(late) == late.known_at


def test_a_case_that_the_desk_drops_is_paid_at_the_end_of_the_hold_and_not_reviewed_by_the_world():
    desk = office(analysts=0, review_patience_hours=24)
    desk.on_decision(outcome("review", channel="ecommerce"), True)
    assert desk.advance(1_000_000 + DAY_MS) == []
    late = world_label("customer", known_at=1_000_000 + DAY_MS)
    assert desk.admitted_from_ms(late) == late.known_at
    assert desk.admitted_from_ms(world_label("analyst", known_at=late.known_at)) is None


def test_a_desk_that_starts_again_stands_by_the_verdicts_in_the_log():
    first = office(analysts=1)
    payment = outcome("review", channel="ecommerce")
    first.on_decision(payment, True)
    (label,) = first.advance(1_000_000 + DAY_MS)
    again = BackOffice(SURE, 7, keep_ms=DAY_MS, reviewed={"t": label.known_at})
    again.on_decision(payment, True)
    assert again.admitted_from_ms(world_label("customer")) is None  # before the desk comes to it again


def test_a_payment_stopped_by_a_block_is_counted_by_whose_it_was():
    desk = office()
    for n, is_fraud in enumerate((True, False, False)):
        blocked = outcome("decline", f"t{n}", rule_hits=["card_blocked"])
        assert desk.on_decision(blocked, is_fraud) == []
        assert not admits(desk, world_label("customer", f"t{n}"))
    assert (desk.counts["blocked_fraud"], desk.counts["blocked_honest"]) == (1, 2)
