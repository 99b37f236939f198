"""The ledger of a running line: by the truth, and by labels as a bank without the truth has them. Pure."""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from dashboards.outcomes import AwaitedDecision, AwaitingTruth, DecisionTruth
from dashboards.page.counts.bounded_tables import remember
from fraudsim.log.events import Label
from producers.labels.consequences import Consequences
from producers.labels.outcome import DecidedPayment
from producers.labels.prices import price_of
from producers.ledger.account import Basis
from producers.ledger.book import Book, Posting
from producers.ledger.entry import Entry, Fraud
from producers.ledger.ledger import Ledger, View

WAIT_S: Final = 10.0
"""Wall seconds that a decision waits for the truth about it; so far behind is the money."""
REMEMBERED: Final = 200_000
"""Payments that wait for the truth, and payments and labels that are remembered."""


class LiveLedger:
    """Two ledgers of the same decisions of the stream.

    By labels, a fraud counts as paid once a label says so and the payment was not stopped. What a bank
    stopped it cannot call an insult, and such cost is in the ledger by the truth alone. The ledger by labels
    has only what costs: payments that were stepped up, held or reviewed, and reported frauds.
    """

    def __init__(self, rules: Consequences, seed: int, cards: int | None) -> None:
        """`cards` of the portfolio; None: those seen so far."""
        self._rules = rules
        self._book = Book(rules, seed)
        self._awaiting = AwaitingTruth(WAIT_S, REMEMBERED)
        self._cards = cards
        self._cards_seen: set[str] = set()
        self._span: tuple[int, int] | None = None
        self.by_truth = Ledger("truth", Basis(0, 0))
        self.by_labels = Ledger("labels", Basis(0, 0))
        self._paid: OrderedDict[str, int] = OrderedDict()
        """Payments that went through, with their cents."""
        self._reported: OrderedDict[str, None] = OrderedDict()
        """Frauds by label whose entry has not come."""
        self._counted: OrderedDict[str, None] = OrderedDict()

    @property
    def open_reviews(self) -> int:
        """Payments whose review nobody has begun."""
        return len(self._book)

    def add_decisions(self, decisions: Iterable[AwaitedDecision], now_s: float) -> None:
        """Add first decisions of the stream, at a monotonic time."""
        self._awaiting.add_decisions(decisions, now_s)

    def add_fraud(self, tx_id: str, fraud: Fraud) -> None:
        """Add what the truth says of a transaction."""
        self._awaiting.add_fraud(tx_id, fraud)

    def add_label(self, label: Label) -> None:
        """Add a label, in the order of the log; the first one of a fraud counts."""
        if not label.is_fraud or label.tx_id in self._counted:
            return
        remember(self._counted, label.tx_id, None, REMEMBERED)
        cents = self._paid.get(label.tx_id)
        if cents is not None:
            self._count_report(cents)
        else:
            remember(self._reported, label.tx_id, None, REMEMBERED)

    def advance(self, now_s: float) -> list[DecisionTruth]:
        """Post what has waited long enough; returns it, with the truth about it."""
        due = self._awaiting.pop_due(now_s)
        if not due:
            return due
        approved, approved_cents = 0, 0
        for payment, fraud in due:
            if payment.action == "approve" and fraud is None:
                approved += 1
                approved_cents += payment.amount_cents
                self._add_paid(payment)
            else:
                self._advance_book(payment.ts)
                entry = self._book.add(Posting(payment, fraud))
                if entry is not None:
                    self._count(entry)
        if approved:
            self.by_truth.add_approved(approved, approved_cents)
        first_ms, last_ms = due[0].decision.ts, due[-1].decision.ts
        self._advance_book(last_ms)
        if self._span is not None:
            first_ms, last_ms = min(self._span[0], first_ms), max(self._span[1], last_ms)
        self._span = (first_ms, last_ms)
        if self._cards is None:
            self._cards_seen.update(truth.decision.card_id for truth in due)
        basis = Basis(self._cards or len(self._cards_seen), last_ms - first_ms + 1)
        self.by_truth.basis = self.by_labels.basis = basis
        return due

    def of(self, view: View) -> Ledger:
        """The ledger by a view."""
        return self.by_truth if view == "truth" else self.by_labels

    def _advance_book(self, now_ms: int) -> None:
        for entry in self._book.advance(now_ms):
            self._count(entry)

    def _count(self, entry: Entry) -> None:
        self.by_truth.add(entry)
        outcome = entry.outcome
        if outcome.challenged or outcome.held_ms or outcome.review_minutes:
            # What holding it cost must not tell an honest payment from a fraud.
            price = price_of(outcome, entry.payment.amount_cents, False, self._rules)._replace(insult=0)
            self.by_labels.add(entry._replace(fraud=None, is_known=False, price=price))
        if outcome.paid:
            self._add_paid(entry.payment)
        else:
            self._reported.pop(entry.payment.tx_id, None)

    def _add_paid(self, payment: DecidedPayment) -> None:
        remember(self._paid, payment.tx_id, payment.amount_cents, REMEMBERED)
        if payment.tx_id in self._reported:
            del self._reported[payment.tx_id]
            self._count_report(payment.amount_cents)

    def _count_report(self, cents: int) -> None:
        account = self.by_labels.total
        account.at_stake.add(cents)
        account.paid.add(cents)
        account.fraud_paid_cents += cents
