"""Sums of ledger entries: money at stake, paid and stopped, insults, friction, reviews, blocks. Pure."""

from typing import Final, get_args

import msgspec

from producers.labels.outcome import Stop
from producers.ledger.entry import Entry

STOPS: Final[tuple[Stop, ...]] = get_args(Stop)
WEEK_MS: Final = 7 * 86_400_000
PER_CARDS: Final = 1_000


class Tally(msgspec.Struct):
    """A number of payments and their amount."""

    count: int = 0
    cents: int = 0

    def add(self, cents: int) -> None:
        self.count += 1
        self.cents += cents

    def merge(self, other: "Tally") -> None:
        self.count += other.count
        self.cents += other.cents


def _tallies() -> dict[str, Tally]:
    return {stop: Tally() for stop in STOPS}


class Account(msgspec.Struct):
    """What some payments come to; all money in cents."""

    payments: Tally = msgspec.field(default_factory=Tally)
    at_stake: Tally = msgspec.field(default_factory=Tally)
    """Frauds, paid or not."""
    paid: Tally = msgspec.field(default_factory=Tally)
    """Frauds that went through."""
    stopped: dict[str, Tally] = msgspec.field(default_factory=_tallies)
    """Frauds that did not go through, by what stopped them."""
    insulted: dict[str, Tally] = msgspec.field(default_factory=_tallies)
    """Honest payments that did not go through, by what stopped them, with their amounts, which is no cost."""
    unknown: dict[str, Tally] = msgspec.field(default_factory=_tallies)
    """Payments that did not go through and of which nobody knows whether they were fraud."""
    flagged: Tally = msgspec.field(default_factory=Tally)
    """Alerts: payments stepped up, reviewed or declined, apart from those of blocked cards."""
    flagged_frauds: int = 0
    step_ups: int = 0
    held: int = 0
    """Payments that a review held."""
    reviews: int = 0
    """Cases that an analyst has looked at."""
    review_minutes: float = 0.0
    blocks: int = 0
    """Blocks of cards that follow from these decisions; reports of paid frauds block cards too."""
    fraud_paid_cents: int = 0
    insult_cents: int = 0
    friction_cents: int = 0
    review_cents: int = 0

    @property
    def net_loss_cents(self) -> int:
        """Fraud paid, insults, friction and reviews."""
        return self.fraud_paid_cents + self.insult_cents + self.friction_cents + self.review_cents

    @property
    def stopped_frauds(self) -> Tally:
        """All frauds that did not go through."""
        total = Tally()
        for tally in self.stopped.values():
            total.merge(tally)
        return total

    @property
    def insults(self) -> int:
        return sum(tally.count for tally in self.insulted.values())

    def add(self, entry: Entry) -> None:
        """Take in an entry."""
        payment, outcome, cents = entry.payment, entry.outcome, entry.payment.amount_cents
        self.payments.add(cents)
        if entry.fraud is not None:
            self.at_stake.add(cents)
        if outcome.stopped_by is None:
            if entry.fraud is not None:
                self.paid.add(cents)
        elif entry.fraud is not None:
            self.stopped[outcome.stopped_by].add(cents)
        else:
            (self.insulted if entry.is_known else self.unknown)[outcome.stopped_by].add(cents)
        if payment.action != "approve" and outcome.stopped_by != "block":
            self.flagged.add(cents)
            self.flagged_frauds += entry.fraud is not None
        self.step_ups += outcome.challenged
        self.held += outcome.held_ms > 0
        self.reviews += outcome.review_minutes > 0
        self.review_minutes += outcome.review_minutes
        self.blocks += outcome.blocked_to_ms is not None
        self.fraud_paid_cents += entry.price.fraud_paid
        self.insult_cents += entry.price.insult
        self.friction_cents += entry.price.friction
        self.review_cents += entry.price.review


class Basis(msgspec.Struct, frozen=True):
    """What a ledger's money is divided by."""

    cards: int
    span_ms: int
    """Event time."""

    def rate(self, cents: int) -> int:
        """Cents per 1,000 cards and week, to the nearest whole cent; 0 for an empty ledger."""
        divisor = self.cards * self.span_ms
        if not divisor:
            return 0
        return (2 * cents * PER_CARDS * WEEK_MS + divisor) // (2 * divisor)
