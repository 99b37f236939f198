"""The back office: labels that follow from decisions, and the world's labels that decisions prevent. Pure."""

from collections import Counter
from typing import Final, NamedTuple

import msgspec

from fraudsim.log.events import Action, Label, LabelSource
from producers.labels.analyst_desk import AnalystDesk
from producers.labels.consequences import MINUTE_MS, Consequences, analyst_says_fraud, step_up_reply

_MAX_PRUNED: Final = 1_000


class Outcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The part of a decision that the back office needs."""

    tx_id: str
    ts: int
    card_id: str
    amount_cents: int
    score: float
    action: Action
    source_offset: int
    merchant_id: str | None = None


class Case(NamedTuple):
    """A transaction under review, with its truth."""

    outcome: Outcome
    is_fraud: bool


class BackOffice:
    """Turns decisions into labels, and admits those of the world's own labels that can still occur.

    A declined payment gets no label: nobody reports a payment that was not made. A step-up is answered or
    not; an unconfirmed payment does not go through. A reviewed payment goes through and is reviewed
    afterwards.

    Args:
        rules: shares, delays and the size of the analysts' desk.
        seed: of replies and verdicts.
        keep_ms: event time during which the world may still give labels of a transaction.
    """

    def __init__(self, rules: Consequences, seed: int, keep_ms: int) -> None:
        self._rules = rules
        self._seed = seed
        self._keep_ms = keep_ms
        self._desk: AnalystDesk[Case] = AnalystDesk(
            int(rules.analysts),
            round(rules.review_minutes * MINUTE_MS),
            int(rules.review_queue),
            round(rules.review_patience_hours * 60 * MINUTE_MS),
        )
        self._stopped: dict[str, int] = {}
        self._reviewed: dict[str, int] = {}
        self.counts: Counter[str] = Counter()
        """Decisions and their consequences, by name."""

    def on_decision(self, outcome: Outcome, is_fraud: bool) -> list[Label]:
        """Process a transaction's first decision; return the labels that follow at once, known later."""
        self.counts[outcome.action] += 1
        if outcome.action == "decline":
            self._stopped[outcome.tx_id] = outcome.ts
        elif outcome.action == "step_up":
            return self._step_up_labels(outcome, is_fraud)
        elif outcome.action == "review":
            value = outcome.score * outcome.amount_cents
            self._desk.add(Case(outcome, is_fraud), outcome.ts, value)
        return []

    def _step_up_labels(self, outcome: Outcome, is_fraud: bool) -> list[Label]:
        reply = step_up_reply(outcome.tx_id, is_fraud, self._rules, self._seed)
        if reply is None or reply.says_fraud:
            self._stopped[outcome.tx_id] = outcome.ts
        if reply is None:
            self.counts["step_up_unanswered"] += 1
            return []
        self.counts["step_up_denied" if reply.says_fraud else "step_up_confirmed"] += 1
        return [_label(outcome, "customer", reply.says_fraud, outcome.ts + reply.after_ms)]

    def advance(self, now_ms: int) -> list[Label]:
        """Advance event time; return labels of the reviews that have started, known at their end."""
        labels = []
        for reviewed_case in self._desk.advance(now_ms):
            outcome, is_fraud = reviewed_case.case
            says_fraud = analyst_says_fraud(outcome.tx_id, is_fraud, self._rules, self._seed)
            self.counts["review_fraud" if says_fraud else "review_cleared"] += 1
            self._reviewed[outcome.tx_id] = outcome.ts
            labels.append(_label(outcome, "analyst", says_fraud, reviewed_case.done_ms))
        self.counts["review_crowded_out"] = self._desk.crowded_out
        self.counts["review_gone_stale"] = self._desk.gone_stale
        for tx_ids in (self._stopped, self._reviewed):
            _prune(tx_ids, now_ms - self._keep_ms)
        return labels

    def admits(self, label: Label) -> bool:
        """Whether a label of the world can still occur after the decision on its transaction."""
        if label.tx_id in self._stopped:
            return False
        return not (label.source == "analyst" and label.tx_id in self._reviewed)


def _label(outcome: Outcome, source: LabelSource, is_fraud: bool, known_at: int) -> Label:
    return Label(
        tx_id=outcome.tx_id,
        card_id=outcome.card_id,
        ts=outcome.ts,
        amount_cents=outcome.amount_cents,
        is_fraud=is_fraud,
        source=source,
        known_at=known_at,
        merchant_id=outcome.merchant_id,
    )


def _prune(tx_ids: dict[str, int], before_ms: int) -> None:
    """Remove the oldest ids, at most `_MAX_PRUNED`; ids were added nearly in order of time."""
    for _ in range(_MAX_PRUNED):
        oldest = next(iter(tx_ids), None)
        if oldest is None or tx_ids[oldest] >= before_ms:
            return
        del tx_ids[oldest]
