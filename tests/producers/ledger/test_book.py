"""The ledger agrees with the back office, and its sums with its entries, whatever was decided."""

from hypothesis import given, settings
from hypothesis import strategies as st

from producers.labels.back_office import BackOffice
from producers.labels.consequences import HOUR_MS, MINUTE_MS, Consequences
from producers.labels.outcome import DecidedPayment
from producers.labels.prices import price_of
from producers.ledger.account import STOPS, Basis
from producers.ledger.book import Book, Posting, entries_of
from producers.ledger.entry import Fraud
from producers.ledger.ledger import ledger_of

SEED = 7
TIGHT = Consequences(analysts=1, review_minutes=60, review_queue=2, review_patience_hours=3, hold_hours=2)
"""A desk that drops cases, both by their number and by their age."""
BASIS = Basis(1_000, 7 * 24 * HOUR_MS)
RULES = st.sampled_from([Consequences(), TIGHT, Consequences(analysts=0), Consequences(hold_hours=0)])


def payment(number, ts, action, cents=5_000, channel="ecommerce", rule_hits=()):
    return DecidedPayment(
        tx_id=f"t{number}", ts=ts, card_id=f"c{number % 3}", amount_cents=cents, action=action, score=0.5,
        source_offset=number, channel=channel, rule_hits=list(rule_hits),
    )  # fmt: skip


@st.composite
def many_postings(draw):
    """Payments in the order in which a source gives them: by event time, then by transaction."""
    step = st.tuples(
        st.sampled_from([0, 1, MINUTE_MS, 20 * MINUTE_MS, 4 * HOUR_MS]),
        st.sampled_from(["approve", "step_up", "review", "review", "decline", "blocked"]),
        st.sampled_from([0, 1, 999, 25_000]),
        st.sampled_from(["ecommerce", "pos"]),
        st.sampled_from([None, Fraud("bin_attack", "a"), Fraud("bin_attack", "b"), Fraud("push_scam", "c")]),
    )
    ts, postings = 10**9, []
    for number, (gap, action, cents, channel, fraud) in enumerate(draw(st.lists(step, max_size=40))):
        ts += gap
        blocked = action == "blocked"
        decided = payment(
            number, ts, "decline" if blocked else action, cents, channel, ("card_blocked",) if blocked else ()
        )
        postings.append(Posting(decided, fraud))
    return sorted(postings, key=lambda item: (item.payment.ts, item.payment.tx_id))


@settings(max_examples=150, deadline=None)
@given(many_postings(), RULES)
def test_what_the_ledger_says_was_stopped_is_what_the_back_office_says(postings, rules):
    entries = entries_of(postings, rules, SEED)
    office = BackOffice(rules, SEED, keep_ms=10**12)
    labels = []
    for item in postings:
        labels += office.advance(item.payment.ts)
        labels += office.on_decision(item.payment, item.fraud is not None)
    labels += office.advance(10**12)
    assert {e.payment.tx_id for e in entries if not e.outcome.paid} == set(office._stopped)
    verdicts = {(e.payment.tx_id, e.outcome.verdict.known_ms) for e in entries if e.outcome.verdict}
    assert verdicts == {(label.tx_id, label.known_at) for label in labels}
    assert len(entries) == len(postings) == len({e.payment.tx_id for e in entries})


@settings(max_examples=150, deadline=None)
@given(many_postings(), RULES)
def test_the_sums_are_those_of_the_entries_and_of_each_division(postings, rules):
    entries = entries_of(postings, rules, SEED)
    ledger = ledger_of(entries, BASIS)
    total = ledger.total
    prices = [price_of(e.outcome, e.payment.amount_cents, e.fraud is not None, rules).total for e in entries]
    assert total.net_loss_cents == sum(prices) == BASIS.rate(total.net_loss_cents)
    assert total.at_stake.cents == total.paid.cents + total.stopped_frauds.cents
    assert total.at_stake.count == total.paid.count + total.stopped_frauds.count
    assert total.paid.cents == total.fraud_paid_cents
    assert total.insults == sum(e.outcome.insult for e in entries)
    for accounts in (ledger.by_action.values(), ledger.by_typology.values(), ledger.campaigns.values()):
        money = [getattr(a, "account", a).fraud_paid_cents for a in accounts]
        assert sum(money) == total.fraud_paid_cents
    assert sum(a.net_loss_cents for a in ledger.by_action.values()) == total.net_loss_cents
    assert total.flagged.count == sum(
        e.payment.action != "approve" and e.outcome.stopped_by != "block" for e in entries
    )


@settings(max_examples=80, deadline=None)
@given(many_postings(), RULES)
def test_entries_come_as_soon_as_they_are_certain_and_in_the_end_all(postings, rules):
    book, came = Book(rules, SEED), []
    for item in postings:
        came += book.advance(item.payment.ts)
        entry = book.add(item)
        assert (entry is None) == (item.payment.action == "review")
        came += [] if entry is None else [entry]
    open_before_closing = len(postings) - len(came)
    assert len(book.close()) == open_before_closing
    assert book.close() == []


def test_a_verdict_that_the_log_has_stands():
    postings = [Posting(payment(0, 10**9, "review"), Fraud())]
    sure = Consequences(review_misses=0)
    late = 10**9 + 10 * HOUR_MS
    (entry,) = entries_of(postings, sure, SEED, {"t0": late})
    assert (entry.outcome.stopped_by, entry.outcome.final_ms) == ("review", late)
    (entry,) = entries_of(postings, sure, SEED)
    assert entry.outcome.final_ms == 10**9 + 10 * MINUTE_MS


def test_of_what_nobody_knows_a_stop_is_neither_fraud_nor_insult():
    postings = [Posting(payment(0, 10**9, "decline"), None, is_known=False)]
    account = ledger_of(entries_of(postings, Consequences(), SEED), BASIS, "labels").total
    assert (account.insults, account.insult_cents, account.at_stake.count) == (0, 0, 0)
    assert account.unknown["decline"].count == 1
    known = ledger_of(entries_of([Posting(postings[0].payment)], Consequences(), SEED), BASIS).total
    assert known.insults == 1
    assert known.insult_cents > 0
    assert set(known.stopped) == set(STOPS)
