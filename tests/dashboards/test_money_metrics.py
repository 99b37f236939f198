"""The ledger as metrics: by the truth it is the ledger; by labels it is what labels tell."""

import pytest

from dashboards.money_metrics import MoneyMetrics
from fraudsim.log.events import Label
from fraudsim.metrics import registry
from producers.labels.consequences import HOUR_MS, Consequences
from producers.ledger.account import Basis
from producers.ledger.book import Posting, entries_of
from producers.ledger.entry import Fraud
from producers.ledger.ledger import ledger_of
from tests.producers.ledger.test_book import payment

RULES = Consequences()
T = 10**9


def value(name, **labels):
    return registry.get_sample_value(name, labels) or 0.0


def cents(view):
    kinds = ("fraud_paid", "insult", "friction", "review")
    return {kind: value("fraudsim_ledger_cents_total", view=view, kind=kind) for kind in kinds}


def added(before, after):
    return {kind: round(after[kind] - before[kind]) for kind in after}


def label(number, ts, is_fraud=True):
    return Label(
        tx_id=f"t{number}", card_id="c", ts=ts, amount_cents=5_000, is_fraud=is_fraud, source="customer",
        known_at=ts + HOUR_MS,
    )  # fmt: skip


def test_by_the_truth_they_are_the_ledger_s_sums():
    actions = ["approve", "step_up", "review", "decline"] * 10
    postings = [
        Posting(payment(n, T + n * HOUR_MS, action), Fraud() if n % 3 == 0 else None)
        for n, action in enumerate(actions)
    ]
    postings.append(Posting(payment(99, T + 999 * HOUR_MS, "approve")))  # by then every review is done
    before = cents("truth")
    money = MoneyMetrics(RULES, 7, 500)
    for item in postings:
        money.add(item)
    basis = Basis(500, 999 * HOUR_MS + 1)
    ledger = ledger_of(entries_of(postings, RULES, 7), basis)
    assert added(before, cents("truth")) == {
        "fraud_paid": ledger.total.fraud_paid_cents,
        "insult": ledger.total.insult_cents,
        "friction": ledger.total.friction_cents,
        "review": ledger.total.review_cents,
    }
    assert value("fraudsim_ledger_net_loss_cents", view="truth") == ledger.net_loss_rate
    assert value("fraudsim_ledger_open_reviews") == 0


@pytest.mark.parametrize("when", ["before", "after"])
def test_by_labels_a_fraud_is_paid_when_it_is_reported_and_was_not_stopped(when):
    paid, stopped = payment(0, T, "approve"), payment(1, T + 1, "decline")
    silent, later = payment(2, T + 2, "approve"), payment(3, T + HOUR_MS, "approve")
    money, before = MoneyMetrics(RULES, 7, 1_000), cents("labels")
    reports = [label(0, T), label(1, T + 1), label(0, T)]
    if when == "before":
        for report in reports:
            money.add_label(report)
    for item in (paid, stopped, silent, later):
        money.add(Posting(item, Fraud()))
    if when == "after":
        for report in [*reports, label(77, T - 1)]:  # the last one is of a payment before the start
            money.add_label(report)
    assert added(before, cents("labels")) == {"fraud_paid": 5_000, "insult": 0, "friction": 0, "review": 0}


def test_without_a_history_the_cards_seen_count():
    money = MoneyMetrics(Consequences(), 7, None)
    for number in range(6):
        money.add(Posting(payment(number, T + number * HOUR_MS, "approve"), Fraud()))
    assert value("fraudsim_ledger_net_loss_cents", view="truth") == Basis(3, 5 * HOUR_MS + 1).rate(6 * 5_000)
