"""The outcome of one decision: paid or stopped, by what, when that is certain, and what follows. Pure.

Every draw belongs to a seed, a purpose and a transaction's id, so that a decision has the same outcome in
every process and at any time: in the back office, in the sender that lets people react, in the ledger and in
event time without a line.
"""

from dataclasses import dataclass
from math import exp
from statistics import NormalDist
from typing import Final, Literal

import msgspec

from fraudsim.log.events import Action, Channel, LabelSource
from producers.labels.blocks import BLOCK_RULE, BLOCKING_SOURCES
from producers.labels.consequences import MINUTE_MS, Consequences
from producers.labels.divided_desk import ArmShare
from producers.rng import chance

CARD_NOT_PRESENT: Final[frozenset[Channel | None]] = frozenset({"ecommerce", "recurring", "moto"})
"""Channels whose payments a review can hold: goods are not handed over at once."""
_SIGMA: Final = 0.8

Stop = Literal["decline", "step_up_denied", "step_up_unanswered", "review", "block"]
"""What kept a payment from going through."""
HonestReaction = Literal["retries", "leaves", "gives_up"]
"""What an honest customer does whose payment was stopped."""


class DecidedPayment(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The part of a decision that its outcome depends on; its fields are named as in `Decision`."""

    tx_id: str
    ts: int
    card_id: str
    amount_cents: int
    action: Action
    score: float = 0.0
    source_offset: int = -1
    merchant_id: str | None = None
    channel: Channel | None = None
    """None in decisions of earlier versions, whose reviews held nothing."""
    rule_hits: list[str] = []
    assignment: ArmShare | None = None
    """The card's arm while an experiment runs: whose analysts review the payment."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a customer or an analyst says of a payment: the label that follows from the decision."""

    source: LabelSource
    is_fraud: bool
    known_ms: int
    """Event time."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one decided payment. Times are event time, ms UTC."""

    paid: bool
    stopped_by: Stop | None
    """None if it was paid."""
    final_ms: int
    """When it is certain whether the payment goes through."""
    verdict: Verdict | None = None
    """The label that follows from a step-up or a review."""
    challenged: bool = False
    """Whether there was a step-up, answered or not."""
    held_ms: int = 0
    """How long a review held the payment."""
    review_minutes: float = 0.0
    """An analyst's time; 0 where the case was dropped, or has not been reviewed yet."""
    insult: bool = False
    """Whether the payment was honest and did not go through."""
    reaction: HonestReaction | None = None
    """What the honest customer does; None if the payment was paid or fraudulent."""
    blocked_to_ms: int | None = None
    """End of the block that begins with the verdict; None if none follows from this decision."""

    @property
    def blocked_from_ms(self) -> int | None:
        """Start of the block that follows."""
        return None if self.blocked_to_ms is None or self.verdict is None else self.verdict.known_ms


def holds(payment: DecidedPayment, rules: Consequences) -> bool:
    """Whether a review holds this payment until the verdict; elsewhere it goes through at once."""
    return payment.action == "review" and payment.channel in CARD_NOT_PRESENT and rules.hold_ms > 0


def outcome_of(
    payment: DecidedPayment, is_fraud: bool, rules: Consequences, seed: int, reviewed_ms: int | None = None
) -> Outcome:
    """What becomes of a decided payment.

    - approve: paid.
    - decline: stopped, by the block where the rule `card_blocked` hit.
    - step_up: paid if the customer confirms; stopped if the answer is no, or none by the longest time.
    - review, card not present: held until the verdict, and stopped if that says fraud. When the hold's
      longest time ends first, the payment goes through.
    - review elsewhere: paid at once.

    Args:
        reviewed_ms: event time at which the desk gives its verdict on a review; None where it gives none.
    """
    ts = payment.ts
    if payment.action == "approve":
        return Outcome(paid=True, stopped_by=None, final_ms=ts)
    if payment.action == "decline":
        return _stopped(payment, is_fraud, rules, seed, "block" if is_blocked(payment) else "decline", ts)
    if payment.action == "step_up":
        return _step_up_outcome(payment, is_fraud, rules, seed)
    return _review_outcome(payment, is_fraud, rules, seed, reviewed_ms)


def is_blocked(payment: DecidedPayment) -> bool:
    """Whether a block of the card made this decision."""
    return BLOCK_RULE in payment.rule_hits


def _step_up_outcome(payment: DecidedPayment, is_fraud: bool, rules: Consequences, seed: int) -> Outcome:
    reply = step_up_reply(payment.tx_id, is_fraud, rules, seed)
    if reply is None:
        final_ms = payment.ts + round(rules.step_up_max_minutes * MINUTE_MS)
        return _stopped(payment, is_fraud, rules, seed, "step_up_unanswered", final_ms, challenged=True)
    verdict = Verdict("customer", reply.says_fraud, payment.ts + reply.after_ms)
    if reply.says_fraud:
        return _stopped(
            payment, is_fraud, rules, seed, "step_up_denied", verdict.known_ms, verdict, challenged=True
        )
    return Outcome(paid=True, stopped_by=None, final_ms=verdict.known_ms, verdict=verdict, challenged=True)


def _review_outcome(
    payment: DecidedPayment, is_fraud: bool, rules: Consequences, seed: int, reviewed_ms: int | None
) -> Outcome:
    verdict, minutes = None, 0.0
    if reviewed_ms is not None:
        says_fraud = analyst_says_fraud(payment.tx_id, is_fraud, rules, seed)
        verdict, minutes = Verdict("analyst", says_fraud, reviewed_ms), rules.review_minutes
    held_to_ms = payment.ts
    if holds(payment, rules):
        held_to_ms += rules.hold_ms
        if verdict is not None and verdict.known_ms <= held_to_ms:
            held_to_ms = verdict.known_ms
            if verdict.is_fraud:
                return _stopped(
                    payment, is_fraud, rules, seed, "review", held_to_ms, verdict,
                    held_ms=held_to_ms - payment.ts, review_minutes=minutes,
                )  # fmt: skip
    return Outcome(
        paid=True,
        stopped_by=None,
        final_ms=held_to_ms,
        verdict=verdict,
        held_ms=held_to_ms - payment.ts,
        review_minutes=minutes,
        blocked_to_ms=_blocked_to_ms(verdict, rules),
    )


def _stopped(
    payment: DecidedPayment,
    is_fraud: bool,
    rules: Consequences,
    seed: int,
    stop: Stop,
    final_ms: int,
    verdict: Verdict | None = None,
    **effort: float,
) -> Outcome:
    return Outcome(
        paid=False,
        stopped_by=stop,
        final_ms=final_ms,
        verdict=verdict,
        insult=not is_fraud,
        reaction=None if is_fraud else honest_reaction(payment.tx_id, stop, rules, seed),
        blocked_to_ms=_blocked_to_ms(verdict, rules),
        **effort,  # type: ignore[arg-type]
    )


def _blocked_to_ms(verdict: Verdict | None, rules: Consequences) -> int | None:
    if verdict is None or not verdict.is_fraud or verdict.source not in BLOCKING_SOURCES:
        return None
    return verdict.known_ms + rules.block_ms if rules.block_ms else None


def honest_reaction(tx_id: str, stop: Stop, rules: Consequences, seed: int) -> HonestReaction:
    """What an honest customer does whose payment was stopped. Nobody tries a blocked card again."""
    if stop == "block":
        return "gives_up"
    draw = chance(seed, "honest-reaction", tx_id)
    if draw < rules.honest_retries:
        return "retries"
    return "leaves" if draw < rules.honest_retries + rules.honest_leaves else "gives_up"


@dataclass(frozen=True, slots=True)
class StepUpReply:
    """A customer's answer to a step-up."""

    says_fraud: bool
    after_ms: int
    """Event time from the transaction to the answer."""


def step_up_reply(tx_id: str, is_fraud: bool, rules: Consequences, seed: int) -> StepUpReply | None:
    """The customer's answer to a step-up, None if there is none."""
    if chance(seed, "step-up", tx_id) >= rules.step_up_answered:
        return None
    wrong = chance(seed, "step-up-wrong", tx_id) < (rules.step_up_fooled if is_fraud else rules.step_up_slips)
    quantile = min(max(chance(seed, "step-up-delay", tx_id), 1e-9), 1 - 1e-9)
    spread = NormalDist(0.0, _SIGMA).inv_cdf(quantile)
    minutes = min(rules.step_up_median_minutes * exp(spread), rules.step_up_max_minutes)
    return StepUpReply(says_fraud=is_fraud != wrong, after_ms=round(minutes * MINUTE_MS))


def analyst_says_fraud(tx_id: str, is_fraud: bool, rules: Consequences, seed: int) -> bool:
    """An analyst's verdict on a case."""
    wrong = chance(seed, "review", tx_id) < (rules.review_misses if is_fraud else rules.review_false_alarms)
    return is_fraud != wrong
