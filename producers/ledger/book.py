"""The book: decided payments become entries, reviews when the analysts' desk has come to them. Pure.

The desk is the back office's own, in event time: so the same payments give the same entries live, in event
time without a line, and when a policy is tried on a finished run.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from producers.labels.consequences import HOUR_MS, Consequences
from producers.labels.divided_desk import DividedDesk
from producers.labels.outcome import DecidedPayment
from producers.ledger.entry import Entry, Fraud, entry_of

_END_MS: Final = 2**62


class Posting(NamedTuple):
    """A decided payment, and whether it was fraud, as far as known."""

    payment: DecidedPayment
    fraud: Fraud | None = None
    is_known: bool = True


class Book:
    """Makes the entries of payments that are added in the order of their event time.

    Args:
        rules: of consequences.
        seed: of replies and verdicts.
        reviewed: event times of verdicts that are known to have been given, by transaction. They stand;
            without one, the desk's own time counts.
    """

    def __init__(self, rules: Consequences, seed: int, reviewed: Mapping[str, int] | None = None) -> None:
        self._rules, self._seed = rules, seed
        self._reviewed = reviewed or {}
        self._desk: DividedDesk[Posting] = DividedDesk(rules)
        self._waiting: dict[str, Posting] = {}
        """Under review, not reached by the desk yet, by transaction."""

    def __contains__(self, tx_id: str) -> bool:
        """Whether a payment waits for its review."""
        return tx_id in self._waiting

    def __len__(self) -> int:
        """Payments that wait for their review."""
        return len(self._waiting)

    def add(self, posting: Posting) -> Entry | None:
        """Take in a payment; its entry, or None while it waits for its review."""
        payment = posting.payment
        if payment.action != "review":
            return self._entry(posting, None)
        self._waiting[payment.tx_id] = posting
        self._desk.add(posting, payment.ts, payment.score * payment.amount_cents, payment.assignment)
        return None

    def advance(self, now_ms: int) -> list[Entry]:
        """Advance event time; the entries of reviews that have begun, and of those that nobody will begin."""
        entries = []
        for case in self._desk.advance(now_ms):
            posting = case.case
            if self._waiting.pop(posting.payment.tx_id, None) is not None:
                entries.append(self._entry(posting, case.done_ms))
        patience_ms = round(self._rules.review_patience_hours * HOUR_MS)
        while self._waiting:
            tx_id, posting = next(iter(self._waiting.items()))
            if posting.payment.ts + patience_ms >= now_ms:
                break
            del self._waiting[tx_id]
            entries.append(self._entry(posting, None))
        return entries

    def close(self) -> list[Entry]:
        """The entries of all reviews that still wait, as the desk will come to them."""
        return self.advance(_END_MS)

    def _entry(self, posting: Posting, done_ms: int | None) -> Entry:
        payment, fraud, is_known = posting
        reviewed_ms = self._reviewed.get(payment.tx_id, done_ms)
        return entry_of(payment, fraud, self._rules, self._seed, reviewed_ms, is_known=is_known)


def entries_of(
    payments: Iterable[Posting],
    rules: Consequences,
    seed: int,
    reviewed: Mapping[str, int] | None = None,
) -> list[Entry]:
    """The entries of all payments of a run, in the order of a source: event time, then transaction."""
    book = Book(rules, seed, reviewed)
    entries = []
    for posting in sorted(payments, key=lambda item: (item.payment.ts, item.payment.tx_id)):
        entries += book.advance(posting.payment.ts)
        entry = book.add(posting)
        if entry is not None:
            entries.append(entry)
    return entries + book.close()
