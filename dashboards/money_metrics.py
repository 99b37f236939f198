"""The ledger as metrics: by the truth, and by labels as a bank without the truth has them."""

from collections import OrderedDict
from typing import Final, TypeVar

from dashboards.outcomes import OUTCOMES, outcome_name
from fraudsim import metrics
from fraudsim.log.events import Label
from producers.labels.consequences import Consequences
from producers.ledger.account import Basis
from producers.ledger.book import Book, Posting
from producers.ledger.entry import Entry
from producers.typologies import TYPOLOGY_CLASSES

MAX_TYPOLOGIES: Final = 50
"""Further names are counted together as `other`."""
MAX_REMEMBERED: Final = 500_000
"""Stopped payments, labelled frauds and cards that are remembered."""
_KINDS: Final = ("fraud_paid", "insult", "friction", "review")
_KNOWN_KINDS: Final = ("fraud_paid", "friction", "review")
"""What a bank can know: of a payment that it stopped nobody says that it was honest."""

V = TypeVar("V")


class MoneyMetrics:
    """Counts the entries of the ledger from the start of the process.

    By labels, a fraud counts as paid when its first label of fraud comes, if the payment was not stopped; a
    later label that reverses it takes nothing back.
    """

    def __init__(self, rules: Consequences, seed: int, cards: int | None) -> None:
        """`cards` is the number of cards of the portfolio; None counts those seen."""
        self._book = Book(rules, seed)
        self._cards = cards
        self._cards_seen: set[str] = set()
        self._first_ms: int | None = None
        self._last_ms = 0
        self._cents = {"truth": 0, "labels": 0}
        self._stopped: OrderedDict[str, None] = OrderedDict()
        """Transactions that were stopped."""
        self._unsettled: OrderedDict[str, int] = OrderedDict()
        """Cents of frauds by label, of transactions whose entry is not there yet."""
        self._reported: OrderedDict[str, None] = OrderedDict()
        """Transactions whose fraud has been counted by labels."""
        self._typologies: set[str] = set()
        # Every counter starts at 0 here: Prometheus does not see the first step of one that appears later.
        for scheme in TYPOLOGY_CLASSES:
            self._typology_label(scheme.name)
        for outcome in OUTCOMES:
            metrics.HONEST.labels(outcome)
            metrics.HONEST_VALUE.labels(outcome)
        for view, kinds in (("truth", _KINDS), ("labels", _KNOWN_KINDS)):
            for kind in kinds:
                metrics.LEDGER.labels(view, kind)
        for truth in ("fraud", "honest"):
            metrics.ALERTS.labels(truth)

    def add(self, posting: Posting) -> None:
        """Add a payment, in the order of event time."""
        payment = posting.payment
        for entry in self._book.advance(payment.ts):
            self._count(entry)
        entry_now = self._book.add(posting)
        if entry_now is not None:
            self._count(entry_now)
        metrics.OPEN_REVIEWS.set(len(self._book))
        self._first_ms = payment.ts if self._first_ms is None else self._first_ms
        self._last_ms = max(self._last_ms, payment.ts)
        if self._cards is None and len(self._cards_seen) < MAX_REMEMBERED:
            self._cards_seen.add(payment.card_id)
        self._export_net_loss()

    def add_label(self, label: Label) -> None:
        """Add a label, in the order of the log."""
        before_start = self._first_ms is not None and label.ts < self._first_ms
        if not label.is_fraud or before_start or label.tx_id in self._reported:
            return
        _remember(self._reported, label.tx_id, None)
        if self._first_ms is None or label.ts >= self._last_ms or label.tx_id in self._book:
            _remember(self._unsettled, label.tx_id, label.amount_cents)
        elif label.tx_id not in self._stopped:
            self._add_cents("labels", "fraud_paid", label.amount_cents)

    def _count(self, entry: Entry) -> None:
        payment, outcome, cents = entry.payment, entry.outcome, entry.payment.amount_cents
        name = outcome_name(outcome)
        if entry.fraud is not None:
            typology = self._typology_label(entry.fraud.typology)
            metrics.FRAUDS.labels(typology, name).inc()
            metrics.FRAUD_VALUE.labels(typology, name).inc(cents)
        else:
            metrics.HONEST.labels(name).inc()
            metrics.HONEST_VALUE.labels(name).inc(cents)
        if payment.action != "approve" and name != "block":
            metrics.ALERTS.labels("honest" if entry.fraud is None else "fraud").inc()
        metrics.REVIEW_MINUTES.inc(outcome.review_minutes)
        for kind, price in entry.price._asdict().items():
            self._add_cents("truth", kind, price)
            if kind in ("friction", "review"):
                self._add_cents("labels", kind, price)
        if not outcome.paid:
            _remember(self._stopped, payment.tx_id, None)
        told_cents = self._unsettled.pop(payment.tx_id, None)
        if told_cents is not None and outcome.paid:
            self._add_cents("labels", "fraud_paid", told_cents)

    def _add_cents(self, view: str, kind: str, cents: int) -> None:
        metrics.LEDGER.labels(view, kind).inc(cents)
        self._cents[view] += cents

    def _export_net_loss(self) -> None:
        assert self._first_ms is not None
        cards = self._cards or len(self._cards_seen)
        basis = Basis(cards, self._last_ms - self._first_ms + 1)
        for view, cents in self._cents.items():
            metrics.NET_LOSS.labels(view).set(basis.rate(cents))

    def _typology_label(self, typology: str) -> str:
        """The typology's label value; a new one gets a counter for every outcome."""
        if typology not in self._typologies:
            if len(self._typologies) >= MAX_TYPOLOGIES:
                return "other"
            self._typologies.add(typology)
            for outcome in OUTCOMES:
                metrics.FRAUDS.labels(typology, outcome)
                metrics.FRAUD_VALUE.labels(typology, outcome)
        return typology


def _remember(table: OrderedDict[str, V], tx_id: str, value: V) -> None:
    """Keep a value by transaction; beyond `MAX_REMEMBERED` the oldest is forgotten."""
    table[tx_id] = value
    if len(table) > MAX_REMEMBERED:
        table.popitem(last=False)
