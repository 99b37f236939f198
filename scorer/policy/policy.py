"""From a score to an action: rules, expected cost, limits, exploration. Pure.

An opinion is formed of every transaction: which rules hit, how the actions rank, which of them are barred.
What it wants may need a place in a limit of the day; where there is none left that action is barred too, and
the opinion wants the next. Then it is concluded: a small share of declines is let through, the rest stands.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from fraudsim.log.events import ACTIONS, Action, Transaction
from model.artefact.thresholds import Costs, Thresholds
from scorer.policy.costs import Four, expected_costs
from scorer.policy.rules import Hit, RuleError, RuleFile, Seen
from stream_features.kernels.state import Vector

APPROVE, STEP_UP, REVIEW, DECLINE = range(len(ACTIONS))
_PLACE: Final = {action: place for place, action in enumerate(ACTIONS)}

Variant = Literal["champion", "fallback"]
Limit = Literal["review", "decline"]
"""An action of which there may be only so many a day."""


@dataclass(frozen=True)
class ByExpectedCost:
    """The action of least expected cost for this amount and probability."""

    costs: Costs

    def rank(self, score: float, probability: float, amount_cents: int, trained: Thresholds) -> Four:
        """A number for each action, the less the better: cents."""
        return expected_costs(amount_cents, probability, self.costs)


@dataclass(frozen=True)
class ByThresholds:
    """Cut-offs of the score, the same for every amount; those of the trained model unless given."""

    given: Thresholds | None = None

    def rank(self, score: float, probability: float, amount_cents: int, trained: Thresholds) -> Four:
        """A number for each action: 0 for the one that is due, then come milder ones, then stricter."""
        return _NEXT_BEST[_PLACE[action_for(score, self.given or trained)]]


ActBy = ByExpectedCost | ByThresholds

_NEXT_BEST: Final[Sequence[Four]] = [
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
    """What the business allows, whatever it costs; None is no limit. Days are of event time, UTC."""

    reviews_per_day: int | None = None
    """What the analysts can look at."""
    decline_from_cents: int = 0
    """Nothing below this amount is declined."""
    declined_share_of_day: float | None = None
    """Of the transactions decided on that day so far."""


@dataclass(frozen=True)
class Exploration:
    """A share of the declines is let through, so that labels come of what the score alone would hide."""

    share: float = 0.0
    salt: str = ""
    up_to_cents: int = 0
    """What is worth more is not let through."""

    def takes(self, tx: Transaction) -> bool:
        """By the hash of its tx_id: the same on every reading of the log."""
        digest = hashlib.blake2b(f"{self.salt}:{tx.tx_id}".encode(), digest_size=8).digest()
        return int.from_bytes(digest) < self.share * 2**64


class Opinion(msgspec.Struct):
    """What is thought of one transaction so far."""

    hits: list[Hit]
    least: int
    """Place of the mildest action that the rules allow."""
    rank: Four
    barred: set[int] = set()
    held_back: list[str] = []
    """Why it is not what was wanted first."""
    explored: bool | None = None
    """Whether exploration let it through; None where it had no part."""

    @property
    def wanted(self) -> int:
        """The best action that is allowed; the strictest below the rules' own where all those are barred."""
        if not self.barred and self.least == APPROVE:
            return self.rank.index(min(self.rank))
        allowed = [a for a in range(self.least, len(ACTIONS)) if a not in self.barred]
        if allowed:
            return min(allowed, key=self.rank.__getitem__)
        return max(a for a in range(self.least) if a not in self.barred)

    def bar(self, action: int, reason: str) -> None:
        """It is not to be had; what was wanted anyway goes on unmarked."""
        if self.wanted == action:
            self.held_back.append(reason)
        self.barred.add(action)


class Choice(msgspec.Struct, frozen=True):
    """What is done, and why."""

    action: Action
    rule_hits: list[str]
    held_back: list[str]
    weight: float
    """1 over the probability that exploration left it so; 1 where chance had no part."""


@dataclass(frozen=True, eq=False)
class Policy:
    """Everything between a score and an action, as one version."""

    version: str
    act_by: dict[Variant, ActBy]
    limits: Limits
    exploration: Exploration
    rules: Sequence[RuleFile]

    def consider(
        self,
        tx: Transaction,
        features: Vector,
        score: float,
        probability: float,
        variant: Variant,
        trained: Thresholds,
        failed: Callable[[str, RuleError], None],
    ) -> Opinion:
        """An opinion that has not asked for a place yet.

        `failed` is told of a rule file that could not be evaluated; it then hits nothing.
        """
        seen = Seen(tx, features, score, probability)
        hits: list[Hit] = []
        for rules in self.rules:
            if rules.perhaps(seen):
                try:
                    hits += rules.hits(seen)
                except RuleError as error:
                    failed(rules.name, error)
        rank = self.act_by[variant].rank(score, probability, tx.amount_cents, trained)
        least = max([_PLACE[hit.action] for hit in hits]) if hits else APPROVE
        opinion = Opinion(hits, least, rank)
        if tx.amount_cents < self.limits.decline_from_cents:
            opinion.bar(DECLINE, "decline_from_cents")
        return opinion

    @property
    def limited(self) -> bool:
        """Whether any action needs a place in a limit of the day."""
        return self.limits.reviews_per_day is not None or self.limits.declined_share_of_day is not None

    def asks_for(self, tx: Transaction, opinion: Opinion) -> Limit | None:
        """The limit of the day in which an opinion needs a place."""
        wanted = opinion.wanted
        if wanted == REVIEW and self.limits.reviews_per_day is not None:
            return "review"
        if wanted == DECLINE and self.limits.declined_share_of_day is not None:
            return None if self._explored(tx, opinion) else "decline"
        return None

    def conclude(self, tx: Transaction, opinion: Opinion) -> Choice:
        """The action; whatever it needed a place for has one."""
        action, weight = opinion.wanted, 1.0
        if action == DECLINE and self._explored(tx, opinion):
            opinion.held_back.append("exploration")
            action = APPROVE
        if opinion.explored is not None:
            share = self.exploration.share
            weight = 1 / (share if opinion.explored else 1 - share)
        return Choice(ACTIONS[action], [hit.name for hit in opinion.hits], opinion.held_back, weight)

    def _explored(self, tx: Transaction, opinion: Opinion) -> bool:
        """Whether exploration lets this decline through; what a rule says is an order, no guess."""
        exploration = self.exploration
        small = tx.amount_cents <= exploration.up_to_cents
        if exploration.share > 0 and small and not opinion.hits:
            opinion.explored = exploration.takes(tx)
        return bool(opinion.explored)
