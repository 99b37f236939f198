"""The ledger of a running line: by the truth, and by labels as a bank without the truth has them. Pure."""

from collections import OrderedDict
from typing import Final, TypeVar

from dashboards.outcomes import AwaitedDecision, AwaitingTruth
from fraudsim.log.events import Label
from producers.labels.consequences import Consequences
from producers.labels.prices import price_of
from producers.ledger.account import Basis
from producers.ledger.book import Book, Posting
from producers.ledger.entry import Entry, Fraud
from producers.ledger.ledger import Ledger, View

WAIT_S: Final = 10.0
"""Wall seconds that a decision waits for the truth about it; so far behind is the money."""
REMEMBERED: Final = 200_000
"""Payments that wait for the truth, and payments and labels that are remembered."""

V = TypeVar("V")


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
        self._paid: OrderedDict[str, Entry] = OrderedDict()
        self._reported: OrderedDict[str, int] = OrderedDict()
        """Frauds by label whose entry has not come, with their cents."""
        self._counted: OrderedDict[str, None] = OrderedDict()

    @property
    def open_reviews(self) -> int:
        """Payments whose review nobody has begun."""
        return len(self._book)

    def add_decision(self, decision: AwaitedDecision, now_s: float) -> None:
        """Add a first decision of the stream, at a monotonic time."""
        self._awaiting.add_decision(decision, now_s)

    def add_fraud(self, tx_id: str, fraud: Fraud) -> None:
        """Add what the truth says of a transaction."""
        self._awaiting.add_fraud(tx_id, fraud)

    def add_label(self, label: Label) -> None:
        """Add a label, in the order of the log; the first one of a fraud counts."""
        if not label.is_fraud or label.tx_id in self._counted:
            return
        _remember(self._counted, label.tx_id, None)
        entry = self._paid.get(label.tx_id)
        if entry is not None:
            self._count_report(entry.payment.amount_cents)
        else:
            _remember(self._reported, label.tx_id, label.amount_cents)

    def advance(self, now_s: float) -> list[Posting]:
        """Post what has waited long enough; returns it, with the truth about it."""
        due = [Posting(decision, fraud) for decision, fraud in self._awaiting.pop_due(now_s)]
        for posting in due:
            ts = posting.payment.ts
            self._cards_seen.add(posting.payment.card_id)
            self._span = (ts, ts) if self._span is None else (min(self._span[0], ts), max(self._span[1], ts))
            for entry in self._book.advance(ts):
                self._count(entry)
            now = self._book.add(posting)
            if now is not None:
                self._count(now)
        if due and self._span is not None:
            basis = Basis(self._cards or len(self._cards_seen), self._span[1] - self._span[0] + 1)
            self.by_truth.basis = self.by_labels.basis = basis
        return due

    def of(self, view: View) -> Ledger:
        """The ledger by a view."""
        return self.by_truth if view == "truth" else self.by_labels

    def _count(self, entry: Entry) -> None:
        self.by_truth.add(entry)
        outcome = entry.outcome
        if outcome.challenged or outcome.held_ms or outcome.review_minutes:
            # What holding it cost must not tell an honest payment from a fraud.
            price = price_of(outcome, entry.payment.amount_cents, False, self._rules)._replace(insult=0)
            self.by_labels.add(entry._replace(fraud=None, is_known=False, price=price))
        if entry.outcome.paid:
            _remember(self._paid, entry.payment.tx_id, entry)
        cents = self._reported.pop(entry.payment.tx_id, None)
        if cents is not None and entry.outcome.paid:
            self._count_report(cents)

    def _count_report(self, cents: int) -> None:
        account = self.by_labels.total
        account.at_stake.add(cents)
        account.paid.add(cents)
        account.fraud_paid_cents += cents


def _remember(table: OrderedDict[str, V], key: str, value: V) -> None:
    table[key] = value
    if len(table) > REMEMBERED:
        table.popitem(last=False)
