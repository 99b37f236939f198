"""Labels as they follow from decisions: what is stopped is not reported, what is questioned is. Pure."""

from collections import Counter
from typing import Final, NamedTuple

import msgspec

from fraudsim.log.events import Action, Label, LabelSource
from producers.labels.analyst_desk import AnalystDesk
from producers.labels.consequences import MINUTE_MS, Consequences, analyst_says_fraud, step_up_reply

_PRUNED_AT_ONCE: Final = 1_000


class Outcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Of a decision, what the back office needs."""

    tx_id: str
    ts: int
    card_id: str
    amount_cents: int
    score: float
    action: Action
    source_offset: int
    merchant_id: str | None = None


class Case(NamedTuple):
    """A transaction on an analyst's desk."""

    outcome: Outcome
    is_fraud: bool


class BackOffice:
    """Turns decisions into labels, and lets pass of the world's own labels those that can still come.

    A declined payment has no label: nobody reports what was not paid. A step-up is answered, and what is not
    confirmed does not go through. A reviewed payment goes through and is looked at afterwards.

    Args:
        keep_ms: event time for which the world may still give labels of a transaction.
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
        self._looked_at: dict[str, int] = {}
        self.counts: Counter[str] = Counter()
        """Decisions and what came of them, by name."""

    def on_decision(self, outcome: Outcome, is_fraud: bool) -> list[Label]:
        """Take a decision in, the first of its transaction; the labels that follow at once, known later."""
        self.counts[outcome.action] += 1
        if outcome.action == "decline":
            self._stopped[outcome.tx_id] = outcome.ts
        elif outcome.action == "step_up":
            return self._stepped_up(outcome, is_fraud)
        elif outcome.action == "review":
            worth = outcome.score * outcome.amount_cents
            self._desk.add(Case(outcome, is_fraud), outcome.ts, worth)
        return []

    def _stepped_up(self, outcome: Outcome, is_fraud: bool) -> list[Label]:
        reply = step_up_reply(outcome.tx_id, is_fraud, self._rules, self._seed)
        if reply is None or reply.says_fraud:
            self._stopped[outcome.tx_id] = outcome.ts
        if reply is None:
            self.counts["step_up_unanswered"] += 1
            return []
        self.counts["step_up_denied" if reply.says_fraud else "step_up_confirmed"] += 1
        return [_label(outcome, "customer", reply.says_fraud, outcome.ts + reply.after_ms)]

    def advance(self, now_ms: int) -> list[Label]:
        """Let event time go on: the verdicts of the cases that analysts have taken up, known later."""
        labels = []
        for seen in self._desk.advance(now_ms):
            outcome, is_fraud = seen.case
            says_fraud = analyst_says_fraud(outcome.tx_id, is_fraud, self._rules, self._seed)
            self.counts["review_fraud" if says_fraud else "review_cleared"] += 1
            self._looked_at[outcome.tx_id] = outcome.ts
            labels.append(_label(outcome, "analyst", says_fraud, seen.done_ms))
        self.counts["review_crowded_out"] = self._desk.crowded_out
        self.counts["review_gone_stale"] = self._desk.gone_stale
        for kept in (self._stopped, self._looked_at):
            _prune(kept, now_ms - self._keep_ms)
        return labels

    def admits(self, label: Label) -> bool:
        """Whether a label that the world gives by itself comes, now that its transaction is decided."""
        if label.tx_id in self._stopped:
            return False
        return not (label.source == "analyst" and label.tx_id in self._looked_at)


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


def _prune(kept: dict[str, int], before_ms: int) -> None:
    """Forget the oldest; ids were added nearly in order of time."""
    for _ in range(_PRUNED_AT_ONCE):
        oldest = next(iter(kept), None)
        if oldest is None or kept[oldest] >= before_ms:
            return
        del kept[oldest]
