"""The outcome of a decision: paid or stopped, by what, when, what follows, and what it costs."""

import pytest

from producers.labels.consequences import HOUR_MS, MINUTE_MS, Consequences
from producers.labels.outcome import DecidedPayment, Verdict, outcome_of
from producers.labels.prices import Price, price_of

TS = 1_700_000_000_000
SURE = Consequences(
    step_up_answered=1, step_up_fooled=0, step_up_slips=0, review_misses=0, review_false_alarms=0,
    hold_hours=2, block_hours=10,
)  # fmt: skip


def changed(**changes):
    return Consequences(**{**vars(SURE), **changes})


def payment(action, channel="ecommerce", rule_hits=(), tx_id="t"):
    return DecidedPayment(
        tx_id=tx_id, ts=TS, card_id="c", amount_cents=10_000, action=action, channel=channel,
        rule_hits=list(rule_hits),
    )  # fmt: skip


def outcome(action, is_fraud, rules=SURE, reviewed_ms=None, **facts):
    return outcome_of(payment(action, **facts), is_fraud, rules, 7, reviewed_ms)


def price(found, is_fraud, rules=SURE):
    return price_of(found, 10_000, is_fraud, rules)


@pytest.mark.parametrize("is_fraud", [True, False])
def test_an_approved_payment_is_paid_at_once(is_fraud):
    found = outcome("approve", is_fraud)
    assert (found.paid, found.final_ms, found.insult, found.reaction) == (True, TS, False, None)
    assert price(found, is_fraud) == Price(fraud_paid=10_000 * is_fraud)


@pytest.mark.parametrize("is_fraud", [True, False])
def test_a_declined_payment_is_stopped_and_insults_the_honest(is_fraud):
    found = outcome("decline", is_fraud)
    assert (found.paid, found.stopped_by, found.final_ms, found.insult) == (
        False,
        "decline",
        TS,
        not is_fraud,
    )
    # 2 % leave and are worth 250.00; half do not try again and 20 % of 100.00 is lost.
    assert price(found, is_fraud) == Price(insult=0 if is_fraud else 500 + 1_000)


def test_a_payment_stopped_by_a_block_is_named_so_and_costs_a_quarter_of_an_insult():
    found = outcome("decline", False, rule_hits=["card_blocked"])
    assert (found.stopped_by, found.insult, found.reaction) == ("block", True, "gives_up")
    assert price(found, False) == Price(insult=375)


def test_a_denied_step_up_is_stopped_when_the_answer_comes_and_blocks_the_card():
    found = outcome("step_up", True)
    assert (found.paid, found.stopped_by, found.challenged) == (False, "step_up_denied", True)
    assert found.verdict == Verdict("customer", True, found.final_ms)
    assert TS < found.final_ms <= TS + 30 * MINUTE_MS
    assert (found.blocked_from_ms, found.blocked_to_ms) == (found.final_ms, found.final_ms + 10 * HOUR_MS)
    assert price(found, True) == Price(friction=10)
    assert outcome("step_up", True, changed(block_hours=0)).blocked_to_ms is None


def test_a_confirmed_step_up_is_paid_and_blocks_nothing():
    found = outcome("step_up", False)
    assert (found.paid, found.stopped_by, found.insult, found.blocked_to_ms) == (True, None, False, None)
    assert not found.verdict.is_fraud
    assert price(found, False) == Price(friction=10)
    fooled = outcome("step_up", True, changed(step_up_fooled=1))
    assert fooled.paid
    assert price(fooled, True) == Price(fraud_paid=10_000, friction=10)


def test_an_unanswered_step_up_fails_at_the_longest_time_without_a_label_or_block():
    found = outcome("step_up", False, changed(step_up_answered=0))
    assert (found.stopped_by, found.verdict, found.blocked_to_ms) == ("step_up_unanswered", None, None)
    assert found.final_ms == TS + 30 * MINUTE_MS
    assert price(found, False) == Price(insult=1_500, friction=10)


def test_a_review_holds_a_payment_without_card_until_the_verdict():
    reviewed_ms = TS + HOUR_MS
    found = outcome("review", True, reviewed_ms=reviewed_ms)
    assert (found.paid, found.stopped_by, found.final_ms) == (False, "review", reviewed_ms)
    assert (found.held_ms, found.review_minutes) == (HOUR_MS, 10)
    assert found.blocked_to_ms == reviewed_ms + 10 * HOUR_MS
    assert price(found, True) == Price(review=400)
    honest = outcome("review", False, reviewed_ms=reviewed_ms)
    assert (honest.paid, honest.final_ms, honest.insult) == (True, reviewed_ms, False)
    assert price(honest, False) == Price(friction=50, review=400)
    accused = outcome("review", False, changed(review_false_alarms=1), reviewed_ms)
    assert accused.insult
    assert price(accused, False) == Price(insult=1_500, friction=50, review=400)


@pytest.mark.parametrize("channel", ["pos", "atm", None])
def test_elsewhere_a_reviewed_payment_goes_through_at_once(channel):
    found = outcome("review", True, reviewed_ms=TS + HOUR_MS, channel=channel)
    assert (found.paid, found.final_ms, found.held_ms) == (True, TS, 0)
    assert found.verdict.is_fraud
    assert found.blocked_to_ms == TS + 11 * HOUR_MS
    assert price(found, True) == Price(fraud_paid=10_000, review=400)


@pytest.mark.parametrize("reviewed_ms", [None, TS + 2 * HOUR_MS + 1])
def test_a_held_payment_goes_through_when_its_time_is_over(reviewed_ms):
    found = outcome("review", True, reviewed_ms=reviewed_ms)
    assert (found.paid, found.final_ms, found.held_ms) == (True, TS + 2 * HOUR_MS, 2 * HOUR_MS)
    assert (found.verdict is None) == (reviewed_ms is None)
    assert (found.blocked_to_ms is None) == (reviewed_ms is None)


def test_without_holds_every_reviewed_payment_goes_through():
    found = outcome("review", True, changed(hold_hours=0), TS + 1)
    assert (found.paid, found.final_ms, found.held_ms) == (True, TS, 0)


def test_the_honest_retry_or_leave_by_the_shares_that_are_set():
    rules = changed(honest_retries=0.6, honest_leaves=0.1)
    reactions = [outcome("decline", False, rules, tx_id=f"t{n}").reaction for n in range(20_000)]
    assert reactions.count("retries") / 20_000 == pytest.approx(0.6, abs=0.01)
    assert reactions.count("leaves") / 20_000 == pytest.approx(0.1, abs=0.01)
    assert outcome("decline", True, rules).reaction is None
