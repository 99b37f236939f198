"""One entry of the ledger: a decided payment, what was so, what became of it, and what that cost. Pure."""

from typing import NamedTuple

from producers.labels.consequences import Consequences
from producers.labels.outcome import DecidedPayment, Outcome, outcome_of
from producers.labels.prices import Price, price_of

UNNAMED = "unnamed"
"""The typology of a fraud whose source names none."""


class Fraud(NamedTuple):
    """What the truth, or labels, say of a fraudulent payment."""

    typology: str = UNNAMED
    campaign_id: str = ""
    """"" where nobody knows."""


class Entry(NamedTuple):
    """A payment in the ledger."""

    payment: DecidedPayment
    fraud: Fraud | None
    """None: honest, or not known."""
    is_known: bool
    """Whether it is known if this was fraud; else it is neither a fraud nor an insult, and costs no such."""
    outcome: Outcome
    price: Price

    @property
    def is_insult(self) -> bool:
        return self.is_known and self.outcome.insult


def entry_of(
    payment: DecidedPayment,
    fraud: Fraud | None,
    rules: Consequences,
    seed: int,
    reviewed_ms: int | None = None,
    *,
    is_known: bool = True,
) -> Entry:
    """The entry of a payment. `reviewed_ms` is when the desk gave its verdict on a review, event time."""
    is_fraud = fraud is not None
    outcome = outcome_of(payment, is_fraud, rules, seed, reviewed_ms)
    price = price_of(outcome, payment.amount_cents, is_fraud, rules)
    if not is_known:
        price = price._replace(insult=0)
    return Entry(payment, fraud, is_known, outcome, price)
