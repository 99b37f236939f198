"""The back office: labels that follow from decisions, and the world's labels that decisions prevent. Pure."""

from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple

from fraudsim.log.events import Label
from producers.labels.consequences import Consequences
from producers.labels.divided_desk import DividedDesk
from producers.labels.outcome import DecidedPayment, Outcome, Verdict, holds, outcome_of

_MAX_PRUNED: Final = 1_000


class Case(NamedTuple):
    """A payment under review, with its truth."""

    payment: DecidedPayment
    is_fraud: bool


class BackOffice:
    """Turns decisions into labels, and admits those of the world's own labels that can still occur.

    What becomes of each payment is `outcome_of`'s to say. Nobody reports a payment that was not made.

    Args:
        rules: of consequences.
        seed: of replies and verdicts.
        keep_ms: event time during which the world may still give labels of a transaction.
        reviewed: event times of verdicts that the log holds already, by transaction: an earlier start of the
            desk gave them, and they stand.
    """

    def __init__(
        self, rules: Consequences, seed: int, keep_ms: int, reviewed: Mapping[str, int] | None = None
    ) -> None:
        self._rules = rules
        self._seed = seed
        self._keep_ms = keep_ms
        self._reviewed_before = dict(reviewed or {})
        self._desk: DividedDesk[Case] = DividedDesk(rules)
        self._stopped: dict[str, int] = {}
        """Event time of each payment that did not go through, by id."""
        self._reviewed: dict[str, int] = {}
        """Event time of each payment sent to the desk, by id; analysts' verdicts on it are the desk's."""
        self._held_to: dict[str, int] = {}
        """Event time until which each payment is held, by id."""
        self.counts: Counter[str] = Counter()
        """Decisions and their consequences, by name."""

    @property
    def waiting(self) -> int:
        """Cases that wait for an analyst."""
        return self._desk.waiting

    def on_decision(self, payment: DecidedPayment, is_fraud: bool) -> list[Label]:
        """Process a transaction's first decision; return the labels that follow at once, known later."""
        self.counts[payment.action] += 1
        if payment.action == "review":
            value = payment.score * payment.amount_cents
            self._desk.add(Case(payment, is_fraud), payment.ts, value, payment.assignment)
            self._reviewed[payment.tx_id] = payment.ts
            if holds(payment, self._rules):
                self.counts["review_held"] += 1
                self._held_to[payment.tx_id] = payment.ts + self._rules.hold_ms
            if payment.tx_id in self._reviewed_before:
                self._note(payment, self._outcome(payment, is_fraud, self._reviewed_before[payment.tx_id]))
            return []
        outcome = self._outcome(payment, is_fraud, None)
        self._note(payment, outcome)
        if outcome.stopped_by == "block":
            self.counts["blocked_honest" if outcome.insult else "blocked_fraud"] += 1
        elif outcome.challenged:
            self.counts[outcome.stopped_by or "step_up_confirmed"] += 1
        return [] if outcome.verdict is None else [_label(payment, outcome.verdict)]

    def _outcome(self, payment: DecidedPayment, is_fraud: bool, reviewed_ms: int | None) -> Outcome:
        return outcome_of(payment, is_fraud, self._rules, self._seed, reviewed_ms)

    def _note(self, payment: DecidedPayment, outcome: Outcome) -> None:
        """Note what an outcome means for the labels that the world would give."""
        if payment.tx_id in self._held_to:
            self._held_to[payment.tx_id] = outcome.final_ms
        if not outcome.paid:
            self._stopped[payment.tx_id] = payment.ts

    def advance(self, now_ms: int) -> list[Label]:
        """Advance event time; return labels of the reviews that have started, known at their end."""
        labels = []
        for reviewed_case in self._desk.advance(now_ms):
            payment, is_fraud = reviewed_case.case
            done_ms = self._reviewed_before.get(payment.tx_id, reviewed_case.done_ms)
            outcome = self._outcome(payment, is_fraud, done_ms)
            assert outcome.verdict is not None
            self.counts["review_fraud" if outcome.verdict.is_fraud else "review_cleared"] += 1
            self.counts["review_stopped"] += outcome.stopped_by == "review"
            self._note(payment, outcome)
            labels.append(_label(payment, outcome.verdict))
        self.counts["review_crowded_out"] = self._desk.crowded_out
        self.counts["review_gone_stale"] = self._desk.gone_stale
        for tx_ids in (self._stopped, self._reviewed, self._held_to):
            _prune(tx_ids, now_ms - self._keep_ms)
        return labels

    def admitted_from_ms(self, label: Label) -> int | None:
        """Event time from which a label of the world can occur, after the decision on its transaction.

        None if it never does. Nobody reports a payment while it is held: such a label is as late as the end
        of the hold.
        """
        if label.tx_id in self._stopped:
            return None
        if label.source == "analyst" and label.tx_id in self._reviewed:
            return None
        return max(label.known_at, self._held_to.get(label.tx_id, 0))


def _label(payment: DecidedPayment, verdict: Verdict) -> Label:
    return Label(
        tx_id=payment.tx_id,
        card_id=payment.card_id,
        ts=payment.ts,
        amount_cents=payment.amount_cents,
        is_fraud=verdict.is_fraud,
        source=verdict.source,
        known_at=verdict.known_ms,
        merchant_id=payment.merchant_id,
    )


def _prune(tx_ids: dict[str, int], before_ms: int) -> None:
    """Remove the oldest ids, at most `_MAX_PRUNED`; ids were added nearly in order of time."""
    for _ in range(_MAX_PRUNED):
        oldest = next(iter(tx_ids), None)
        if oldest is None or tx_ids[oldest] >= before_ms:
            return
        del tx_ids[oldest]
