"""The loop over one stretch: decisions, labels, the desk and jobs in order of event time."""

from typing import Final

import msgspec
import numpy as np

from fraudsim.arrays import Flags, Ints
from fraudsim.log.events import Block, Label, Transaction
from producers.labels.blocks import BLOCK_RULE
from producers.labels.divided_desk import ArmShare
from producers.labels.outcome import DecidedPayment, step_up_reply
from producers.labels.prices import Price
from producers.ledger.account import Account, Tally
from producers.ledger.entry import entry_of
from scorer.policy.policy import APPROVE, Choice
from simulator.features.stretch_features import StretchFeatures
from simulator.line.decided import ACTION_INDEX, DecidedStretch
from simulator.line.jobs import ScoredRows
from simulator.line.line_state import LineState, OpenReview
from simulator.line.scoring import PaymentColumns, Scoring
from simulator.line.split_scoring import SplitScoring
from simulator.line.traffic import Stretch
from stream_features.catalogue.features import DAY
from stream_features.encode import id_hash
from stream_features.offline.columns import codes

AHEAD_MS: Final = DAY
"""Rows are scored so far ahead: a label that comes later changes their vectors first."""
_BLOCKED: Final = Choice("decline", [BLOCK_RULE], [], 1.0)
_APPROVED: Final = Choice("approve", [], [], 1.0)


class StretchRun:
    """Decides one stretch. Its rows are scored at once; those that are marked are visited one by one."""

    def __init__(self, line: LineState, stretch: Stretch, features: StretchFeatures) -> None:
        self._line, self._stretch, self._features = line, stretch, features
        self._ts, self._n = features.ts, len(stretch)
        self._columns = PaymentColumns.of(stretch.transactions)
        self._marked: Flags = np.zeros(self._n, np.bool_)
        """Rows that somebody must look at."""
        self._visited: Flags = np.zeros(self._n, np.bool_)
        self._counted = 0
        self._visited_approved = 0
        card_codes, names = codes(stretch.transactions, "card_id")
        self._card_order = np.argsort(card_codes, kind="stable")
        self._card_codes = card_codes[self._card_order]
        self._code_of = {name: code for code, name in enumerate(names)}
        self._stale: Flags = np.ones(self._n, np.bool_)
        """Rows whose vector has changed since they were scored."""
        self._scored_to = 0
        """Rows before it are scored as of now; later ones wait, for a label may change them yet."""
        self._decided = DecidedStretch.approved(stretch, features.values, features.seen_to)
        self._begin()

    # Scores

    def _begin(self) -> None:
        """Mark the rows that are visited whatever their score, and let jobs end."""
        line, stretch = self._line, self._stretch
        if line.jobs is not None:
            for end_ms in line.jobs.ends(stretch.start_ms, stretch.end_ms):
                line.add_event(end_ms, "job")
        if line.campaigns is not None:
            self._marked |= stretch.campaign[0] >= 0
        for card, until_ms in line.blocked_until.items():
            self._mark_card(card, stretch.start_ms, until_ms)

    def _score_ahead(self) -> None:
        """Score the rows of the next `AHEAD_MS`."""
        end = int(np.searchsorted(self._ts, self._ts[self._scored_to] + AHEAD_MS))
        rows = self._scored_to + np.flatnonzero(self._stale[self._scored_to : end])
        self._scored_to = end
        self._assess(rows)

    def _assess_again(self, rows: Ints) -> None:
        """Score rows anew whose vectors changed: now those near, the others when their turn comes."""
        self._stale[rows] = True
        self._assess(rows[rows < self._scored_to])

    def _assess(self, rows: Ints) -> None:
        line, decided = self._line, self._decided
        self._stale[rows] = False
        if not len(rows) or line.scoring is None or line.regime.acts == "by job":
            return
        values = self._features.values[rows]
        if line.jobs is None:
            assessed = line.scoring.assess(values, self._columns, rows)
        else:
            risks = line.jobs.risks_of(self._features.card[rows])
            assessed = line.scoring.assess_scores(risks, values, self._columns, rows)
        decided.scores[rows], decided.probabilities[rows] = assessed.scores, assessed.probabilities
        # A row that is marked for another reason stays so: to look at it once more changes nothing.
        self._marked[rows] |= assessed.to_decide

    @property
    def _scoring(self) -> Scoring | SplitScoring:
        assert self._line.scoring is not None
        return self._line.scoring

    def _mark_card(self, card: str, after_ms: int, until_ms: int) -> None:
        code = self._code_of.get(card)
        if code is not None:
            low = np.searchsorted(self._card_codes, code)
            rows = self._card_order[low : np.searchsorted(self._card_codes, code, "right")]
            self._marked[rows[(self._ts[rows] > after_ms) & (self._ts[rows] < until_ms)]] = True

    # The loop

    def run(self) -> DecidedStretch:
        """Visit the marked rows, and let happen what happens between them."""
        line, events = self._line, self._line.events
        for label in self._stretch.events():
            line.add_event(label.known_at, "label", label, from_world=True)
        row, end_ms = 0, self._stretch.end_ms
        while True:
            ahead = self._marked[row : self._scored_to]
            step = int(ahead.argmax()) if len(ahead) else 0
            next_row = row + step if len(ahead) and ahead[step] else self._scored_to
            at_ms = int(self._ts[next_row]) if next_row < self._n else end_ms
            if events and events[0].at_ms < at_ms:
                self._happen()
            elif next_row < self._scored_to:
                self._visit(next_row)
                row = next_row + 1
            elif next_row < self._n:
                self._score_ahead()
            else:
                break
        self._count_to(self._n)
        approved = (self._decided.action == APPROVE) & self._decided.present
        line.office.counts["approve"] += int(approved.sum()) - self._visited_approved
        self._enter_unvisited()
        if line.jobs is not None:
            rows = np.flatnonzero(self._ts >= line.jobs.unscored_from(end_ms - 1))
            line.jobs.carry(self._score_for_job(rows))
        return self._decided

    def _enter_unvisited(self) -> None:
        """Put the payments into the ledger that nobody had to look at: they were approved."""
        line, decided, fraud = self._line, self._decided, self._stretch.is_fraud
        for row in np.flatnonzero(~self._visited & fraud).tolist():
            payment = payment_of(decided.transaction(row), _APPROVED, float(decided.scores[row]))
            line.ledger.add(entry_of(payment, decided.stretch.fraud(row), line.rules, line.seed))
        honest = ~self._visited & ~fraud
        approved = line.ledger.by_action.setdefault("approve", Account())
        for account in (line.ledger.total, approved):
            account.payments.merge(Tally(int(honest.sum()), int(decided.amount[honest].sum())))

    def _count_to(self, row: int) -> None:
        """Count the rows before `row` as decided, for limits that are a share of them."""
        scoring = self._line.scoring
        if scoring is not None and scoring.limited and row > self._counted:
            scoring.count_rows(self._columns.table, self._ts, slice(self._counted, row))
            self._counted = row

    def _happen(self) -> None:
        event = self._line.next_event()
        if event.kind == "label":
            assert event.label is not None
            self._hear(event.label, event.from_world)
        elif event.kind == "desk":
            self._advance_desk(event.at_ms)
        else:
            self._finish_job(event.at_ms)

    # Decisions

    def _visit(self, row: int) -> None:
        """Decide one row."""
        line, decided, stretch = self._line, self._decided, self._stretch
        self._visited[row] = True
        tx = stretch.transaction(row)
        campaign = int(stretch.campaign[0][row])
        if line.campaigns is not None and campaign >= 0:
            fraud = stretch.fraud(row)
            assert fraud is not None
            payment = line.campaigns.next_payment(tx, fraud)
            if payment is None:
                line.left_out.add(tx.tx_id)
                decided.leave_out(row)
                rows = self._features.change(row, None, 0)
                self._assess_again(rows[rows > row])
                return
            if payment != tx:
                self._change(row, payment)
            tx = payment
        self._count_to(row + 1)
        choice = self._choose(row, tx)
        if choice != _APPROVED:
            decided.choices[row] = choice
        decided.action[row] = ACTION_INDEX[choice.action]
        self._follow_up(row, tx, choice)

    def _change(self, row: int, tx: Transaction) -> None:
        """A campaign makes another payment than planned."""
        decided = self._decided
        decided.changed[row] = tx
        decided.amount[row] = self._columns.amount[row] = tx.amount_cents
        decided.prices[row, 0] = tx.amount_cents
        self._line.changed[tx.tx_id] = tx
        if self._line.scoring is not None:
            self._line.scoring.move(self._columns.table, row, tx.card_id)
        rows = self._features.change(row, tx, id_hash(tx.merchant_id))
        self._assess_again(rows[rows >= row])

    def _choose(self, row: int, tx: Transaction) -> Choice:
        line, decided = self._line, self._decided
        block = line.block_of(tx.card_id, tx.ts)
        if block is not None:
            decided.blocks[row] = block
        if line.scoring is None or line.regime.acts == "by job":
            return _APPROVED if block is None else _BLOCKED
        score, probability = float(decided.scores[row]), float(decided.probabilities[row])
        arm = line.scoring.arm_of(tx.card_id)
        return line.scoring.decide(tx, self._features.values[row], score, probability, block, arm)

    def _follow_up(self, row: int, tx: Transaction, choice: Choice) -> None:
        """What a decision leads to."""
        line, decided, is_fraud = self._line, self._decided, bool(self._stretch.is_fraud[row])
        arm = None if line.scoring is None else line.scoring.arm_of(tx.card_id)
        payment = payment_of(tx, choice, float(decided.scores[row]), arm)
        self._visited_approved += choice.action == "approve"
        for label in line.office.on_decision(payment, is_fraud):
            line.add_event(label.known_at, "label", label)
        entry = entry_of(payment, decided.stretch.fraud(row), line.rules, line.seed)
        decided.resolve_row(row, entry)
        if is_fraud and line.campaigns is not None and choice.action != "approve":
            line.campaigns.add_decision(payment)
        if payment.action == "review":
            line.reviews[tx.tx_id] = OpenReview(payment, decided, row)
            self._advance_desk(tx.ts)
            return
        line.ledger.add(entry)

    # What follows

    def _advance_desk(self, now_ms: int) -> None:
        line = self._line
        for label in line.office.advance(now_ms):
            line.add_event(max(label.known_at, now_ms), "label", label)
            review = line.reviews.pop(label.tx_id, None)
            if review is None:
                continue
            entry = line.resolve_review(review, label.known_at)
            if entry.fraud is not None and line.campaigns is not None:
                line.campaigns.add_verdict(label.tx_id, label.known_at)
        line.wake_desk(now_ms)

    def _hear(self, label: Label, from_world: bool) -> None:
        """A label becomes known, if it can."""
        line = self._line
        if from_world:
            admitted_ms = line.admitted_from_ms(label)
            if admitted_ms is None:
                return
            if admitted_ms > label.known_at:
                later = msgspec.structs.replace(label, known_at=admitted_ms)
                line.add_event(admitted_ms, "label", later, from_world=True)
                return
            label = line.as_decided(label)
        line.counts[f"labels_{label.source}"] += 1
        self._decided.labels.append(label)
        until_ms = line.add_block(label)
        if until_ms is not None:
            self._mark_card(label.card_id, label.known_at, until_ms)
        self._assess_again(self._features.add_label(label))

    # Jobs

    def _score_for_job(self, rows: Ints) -> ScoredRows:
        values = self._features.values[rows]
        assessed = self._scoring.assess(values, self._columns, rows)
        return ScoredRows(self._decided, rows, self._features.card[rows], self._ts[rows], values, assessed)

    def _finish_job(self, now_ms: int) -> None:
        """Act on what a job found."""
        line, jobs = self._line, self._line.jobs
        assert jobs is not None
        start_ms, to_ms = jobs.period_of(now_ms)
        parts = jobs.carried(now_ms)
        rows = np.flatnonzero((self._ts >= start_ms) & (self._ts < to_ms))
        if len(rows):
            parts.append(self._score_for_job(rows))
        if line.regime.acts == "by card":
            jobs.set_risk(parts)
            self._assess_again(np.flatnonzero(self._ts > now_ms))
            return
        for part in parts:
            for index in np.flatnonzero(part.assessed.to_decide).tolist():
                if part.decided.paid[part.rows[index]]:
                    self._act_later(part, index, now_ms)

    def _act_later(self, part: ScoredRows, index: int, now_ms: int) -> None:
        """Act on a payment that went through before it was scored."""
        line, row = self._line, int(part.rows[index])
        tx, is_fraud = part.decided.transaction(row), bool(part.decided.stretch.is_fraud[row])
        score, probability = (float(values[index]) for values in part.assessed[:2])
        choice = self._scoring.decide(tx, part.vectors[index], score, probability)
        line.counts[f"later_{choice.action}"] += 1
        if choice.action == "decline":
            until_ms = now_ms + line.rules.block_ms
            block = Block(tx_id=tx.tx_id, source="analyst", from_ms=now_ms, until_ms=until_ms)
            line.block_by_job(tx.card_id, block)
            self._mark_card(tx.card_id, now_ms, until_ms)
        elif choice.action == "step_up":
            line.charge_later(part.decided, row, Price(friction=round(line.rules.step_up_cost_cents)))
            reply = step_up_reply(tx.tx_id, is_fraud, line.rules, line.seed)
            if reply is not None:
                known_ms = now_ms + reply.after_ms
                line.add_event(known_ms, "label", label_of(tx, reply.says_fraud, known_ms))
        elif choice.action == "review":
            # It went through long ago: nothing is held.
            payment = msgspec.structs.replace(payment_of(tx, choice, score), channel=None)
            line.office.on_decision(payment, is_fraud)
            line.reviews[tx.tx_id] = OpenReview(payment, part.decided, row, counted=True)
            self._advance_desk(now_ms)


def payment_of(tx: Transaction, choice: Choice, score: float, arm: ArmShare | None = None) -> DecidedPayment:
    """A decision as the back office takes it."""
    return DecidedPayment(
        tx_id=tx.tx_id, ts=tx.ts, card_id=tx.card_id, amount_cents=tx.amount_cents, action=choice.action,
        score=score, merchant_id=tx.merchant_id, channel=tx.channel, rule_hits=choice.rule_hits,
        assignment=arm,
    )  # fmt: skip


def label_of(tx: Transaction, is_fraud: bool, known_ms: int) -> Label:
    """A customer's answer about a payment."""
    return Label(
        tx_id=tx.tx_id, card_id=tx.card_id, ts=tx.ts, amount_cents=tx.amount_cents, is_fraud=is_fraud,
        source="customer", known_at=known_ms, merchant_id=tx.merchant_id,
    )  # fmt: skip
