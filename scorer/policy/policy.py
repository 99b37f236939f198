"""From a score to an action: rules, expected cost, daily limits, exploration. Pure.

Each transaction is assessed: which rules hit, how the actions rank, which of them are excluded. The preferred
action may need a unit of a daily quota; where the quota is used up, that action is excluded too, and the next
best is preferred. Then the action is chosen: a small share of declines is let through for exploration.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from fraudsim.log.events import ACTIONS, Action, Block, Transaction
from model.artefact.costs import Costs, PerAction, expected_costs
from model.artefact.thresholds import Thresholds
from producers.labels.blocks import BLOCK_RULE
from producers.labels.outcome import CARD_NOT_PRESENT
from scorer.policy.rules import Hit, RuleError, RuleFile, RuleInput

APPROVE, STEP_UP, REVIEW, DECLINE = range(len(ACTIONS))
_INDEX: Final = {action: index for index, action in enumerate(ACTIONS)}

EXPLORED: Final = "exploration"
"""Reason of a decline that exploration lets through."""
Variant = Literal["champion", "fallback"]
Limit = Literal["review", "decline"]
"""An action with a daily limit."""


@dataclass(frozen=True)
class ByExpectedCost:
    """Ranks actions by expected cost at this amount and probability."""

    costs: Costs

    def rank(self, rule_input: RuleInput, trained: Thresholds) -> PerAction[float]:
        """A number for each action, lowest best: cents."""
        tx = rule_input.tx
        can_hold = float(tx.channel in CARD_NOT_PRESENT)
        return expected_costs(tx.amount_cents, rule_input.probability, can_hold, self.costs)


@dataclass(frozen=True)
class ByThresholds:
    """Ranks actions by cut-offs of the score, the same for every amount."""

    fixed: Thresholds | None = None
    """None: those of the trained model."""

    def rank(self, rule_input: RuleInput, trained: Thresholds) -> PerAction[float]:
        """A number for each action, lowest best: 0 for the score's action, then milder, then stricter."""
        return _NEXT_BEST[_INDEX[action_for(rule_input.score, self.fixed or trained)]]


ActBy = ByExpectedCost | ByThresholds

_NEXT_BEST: Final[Sequence[PerAction[float]]] = [
    (0.0, 5.0, 6.0, 7.0),
    (1.0, 0.0, 6.0, 7.0),
    (2.0, 1.0, 0.0, 7.0),
    (3.0, 2.0, 1.0, 0.0),
]


def action_for(score: float, thresholds: Thresholds) -> Action:
    """The action of a score alone."""
    if score >= thresholds.decline:
        return "decline"
    if score >= thresholds.review:
        return "review"
    if score >= thresholds.step_up:
        return "step_up"
    return "approve"


@dataclass(frozen=True)
class Limits:
    """Limits that hold whatever they cost; None is no limit. Days are of event time, UTC."""

    reviews_per_day: int | None = None
    """Capacity of the analysts."""
    decline_from_cents: int = 0
    """Nothing below this amount is declined."""
    declined_share_of_day: float | None = None
    """Of the transactions decided on that day so far."""
    flag_from_probability: float = 0.0
    """Nothing of a lower probability of fraud is flagged, unless a rule asks for it: the alert budget."""


@dataclass(frozen=True)
class Exploration:
    """Lets a share of the declines through, for labels on transactions that declining would hide."""

    share: float = 0.0
    salt: str = ""
    up_to_cents: int = 0
    """Larger amounts are not let through."""

    def includes(self, tx: Transaction) -> bool:
        """By the hash of the tx_id: the same on every reading of the log."""
        digest = hashlib.blake2b(f"{self.salt}:{tx.tx_id}".encode(), digest_size=8).digest()
        return int.from_bytes(digest) < self.share * 2**64


class Assessment(msgspec.Struct):
    """How the actions stand for one transaction, before one is chosen."""

    hits: list[Hit]
    mildest: int
    """Index of the mildest action that the rules allow."""
    rank: PerAction[float]
    excluded: set[int] = set()
    held_back: list[str] = []
    """Why the action first preferred is not taken."""
    explored: bool | None = None
    """Whether exploration let it through; None where it did not apply."""
    blocked: bool = False
    """Whether the card is blocked: the decline is no choice of the policy and counts against no limit."""

    @property
    def preferred(self) -> int:
        """The best allowed action. Where rules and exclusions leave none, the strictest one milder."""
        if not self.excluded and self.mildest == APPROVE:
            return self.rank.index(min(self.rank))
        allowed = [action for action in range(self.mildest, len(ACTIONS)) if action not in self.excluded]
        if allowed:
            return min(allowed, key=self.rank.__getitem__)
        return max(action for action in range(self.mildest) if action not in self.excluded)

    def exclude_alerts(self, reason: str) -> None:
        """Rule out all but approval; the reason is recorded only if something else was preferred."""
        if self.preferred != APPROVE:
            self.held_back.append(reason)
        self.excluded |= {STEP_UP, REVIEW, DECLINE}

    def exclude(self, action: int, reason: str) -> None:
        """Rule an action out; the reason is recorded only if the action was preferred."""
        if self.preferred == action:
            self.held_back.append(reason)
        self.excluded.add(action)


def propensities_of(action: Action, weight: float, explored: bool) -> PerAction[float]:
    """Probability of each action of a logged choice: exploration alone leaves anything to chance.

    >>> propensities_of("approve", 50.0, explored=True)
    (0.02, 0.0, 0.0, 0.98)

    Args:
        weight: 1 over the probability of the action taken.
        explored: whether a decline was let through.
    """
    probabilities = [0.0] * len(ACTIONS)
    probability = 1 / weight
    probabilities[_INDEX[action]] = probability
    if probability < 1:
        other = DECLINE if explored else APPROVE
        probabilities[other] = round(1 - probability, 12)
    approve, step_up, review, decline = probabilities
    return approve, step_up, review, decline


class Choice(msgspec.Struct, frozen=True):
    """The action taken, and why."""

    action: Action
    rule_hits: list[str]
    held_back: list[str]
    weight: float
    """1 over the probability with which exploration left this action; 1 where chance had no part."""

    @property
    def propensities(self) -> PerAction[float]:
        """Probability of each action, given everything but chance; daily limits count as given."""
        return propensities_of(self.action, self.weight, EXPLORED in self.held_back)


@dataclass(frozen=True, eq=False)
class Policy:
    """Everything between a score and an action, as one version."""

    version: str
    act_by: dict[Variant, ActBy]
    limits: Limits
    exploration: Exploration
    rules: Sequence[RuleFile]

    def assess(
        self,
        rule_input: RuleInput,
        variant: Variant,
        trained: Thresholds,
        on_rule_error: Callable[[str, RuleError], None],
        block: Block | None = None,
    ) -> Assessment:
        """Evaluate rules and rank the actions; quotas are not yet reserved.

        Args:
            on_rule_error: called with the name of a rule file that could not be evaluated; it hits nothing.
            block: of the card. It declines whatever the rules and costs say; no limit and no exploration
                applies to that.
        """
        hits: list[Hit] = []
        for rules in self.rules:
            if rules.may_hit(rule_input):
                try:
                    hits += rules.hits(rule_input)
                except RuleError as error:
                    on_rule_error(rules.name, error)
        rank = self.act_by[variant].rank(rule_input, trained)
        if block is not None:
            return Assessment([Hit(BLOCK_RULE, "decline"), *hits], DECLINE, rank, blocked=True)
        mildest = max([_INDEX[hit.action] for hit in hits]) if hits else APPROVE
        assessment = Assessment(hits, mildest, rank)
        if rule_input.probability < self.limits.flag_from_probability and not hits:
            assessment.exclude_alerts("flag_from_probability")
        if rule_input.tx.amount_cents < self.limits.decline_from_cents:
            assessment.exclude(DECLINE, "decline_from_cents")
        return assessment

    @property
    def limited(self) -> bool:
        """Whether any action has a daily limit."""
        return self.limits.reviews_per_day is not None or self.limits.declined_share_of_day is not None

    def required_limit(self, tx: Transaction, assessment: Assessment) -> Limit | None:
        """The daily limit that the preferred action counts against."""
        preferred = assessment.preferred
        if assessment.blocked:
            return None
        if preferred == REVIEW and self.limits.reviews_per_day is not None:
            return "review"
        if preferred == DECLINE and self.limits.declined_share_of_day is not None:
            return None if self._explored(tx, assessment) else "decline"
        return None

    def choose(self, tx: Transaction, assessment: Assessment) -> Choice:
        """The action; where it has a daily limit, its quota must have been reserved."""
        action, weight = assessment.preferred, 1.0
        if action == DECLINE and self._explored(tx, assessment):
            assessment.held_back.append(EXPLORED)
            action = APPROVE
        if assessment.explored is not None:
            share = self.exploration.share
            weight = 1 / (share if assessment.explored else 1 - share)
        return Choice(ACTIONS[action], [hit.name for hit in assessment.hits], assessment.held_back, weight)

    def _explored(self, tx: Transaction, assessment: Assessment) -> bool:
        """Whether exploration lets this decline through. Declines by a rule are never let through."""
        exploration = self.exploration
        small = tx.amount_cents <= exploration.up_to_cents
        if exploration.share > 0 and small and not assessment.hits:
            assessment.explored = exploration.includes(tx)
        return bool(assessment.explored)
