"""Scores, probabilities and preferred actions of many transactions at once; the policy decides the rest.

A row that costs argue to approve, and that no rule may hit, is approved as `Policy` would approve it. Every
other row goes through `Policy.assess`, `reserve_quota` and `Policy.choose`, as on the line.
"""

from collections.abc import Coroutine, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa

from fraudsim.arrays import Doubles, Flags, Floats, Ints
from fraudsim.errors import InvariantError
from fraudsim.log.events import Block, Transaction
from model.artefact.calibration import Calibration
from model.artefact.cascade import Cascade
from model.artefact.costs import expected_costs
from model.artefact.thresholds import Thresholds
from model.forest.forest import Forest
from producers.labels.divided_desk import ArmShare
from producers.labels.outcome import CARD_NOT_PRESENT
from scorer.policy.policy import APPROVE, ByExpectedCost, Choice, Limit, Limits, Policy, Variant
from scorer.policy.quota import LocalQuota, limits_of_arm, reserve_quota
from scorer.policy.rules import RuleError, RuleInput
from stream_features.catalogue.features import DAY, NAMES
from stream_features.offline.columns import codes, column

ROWS_A_CALL: Final = 512
"""More rows at a time do not fit the processor's cache beside the trees."""
_INDEX: Final = {name: index for index, name in enumerate(NAMES)}
T = TypeVar("T")


def scores_of_rows(forest: Forest | Cascade, vectors: Floats) -> Floats:
    """Scores of many vectors, shape (n,)."""
    scores = [forest.predict(vectors[i : i + ROWS_A_CALL]) for i in range(0, len(vectors), ROWS_A_CALL)]
    return np.concatenate(scores) if scores else np.empty(0, np.float32)


def run_at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise InvariantError("a decision of the fast-forward waits for something")


class PaymentColumns(NamedTuple):
    """A stretch as far as costs and rules depend on it; arrays have one entry per row."""

    table: pa.Table
    amount: Ints
    can_hold: Flags
    """Whether a review can hold the payment: the card is not present."""

    @classmethod
    def of(cls, table: pa.Table) -> "PaymentColumns":
        index, channels = codes(table, "channel")
        can_hold = np.array([*(channel in CARD_NOT_PRESENT for channel in channels), False])[index]
        return cls(table, column(table, "amount_cents").astype(np.int64), can_hold)


class Assessed(NamedTuple):
    """What costs and rules say of each row before limits; arrays have shape (n,)."""

    scores: Floats
    probabilities: Doubles
    to_decide: Flags
    """Rows that the policy must see: another action than approval is cheapest, or a rule may hit."""


class ScoringArm(NamedTuple):
    """What scores: a forest, with what goes with its scores."""

    forest: Forest | Cascade
    thresholds: Thresholds
    calibration: Calibration
    model_version: str
    variant: str
    """As decisions say it."""


class Scoring:
    """One arm of a model and one policy."""

    def __init__(self, arm: ScoringArm, policy: Policy, variant: Variant) -> None:
        self.arm = arm
        self._forest, self._thresholds, self._calibration = arm[:3]
        self._policy = policy
        self._variant: Variant = variant
        self.quota = LocalQuota()

    def exchange(self, arm: ScoringArm, policy: Policy) -> None:
        """Decide by another arm and policy from now on, as after a promotion; the day's quota goes on."""
        self.arm = arm
        self._forest, self._thresholds, self._calibration = arm[:3]
        self._policy = policy

    @property
    def limited(self) -> bool:
        return self._policy.limited

    @property
    def limits(self) -> Limits:
        return self._policy.limits

    def assess(self, vectors: Floats, columns: PaymentColumns, rows: Ints) -> Assessed:
        """Score some rows of a stretch; `vectors` are those rows' own."""
        return self.assess_scores(scores_of_rows(self._forest, vectors), vectors, columns, rows)

    def assess_scores(self, scores: Floats, vectors: Floats, columns: PaymentColumns, rows: Ints) -> Assessed:
        """As `assess`, with scores from elsewhere."""
        probability = self._calibration.probability
        probabilities = np.array([probability(score) for score in scores.tolist()], np.float64)
        act_by = self._policy.act_by[self._variant]
        if isinstance(act_by, ByExpectedCost):
            amount, can_hold = (values[rows].astype(np.float64) for values in columns[1:])
            costs = np.stack(expected_costs(amount, probabilities, can_hold, act_by.costs))
            to_decide = costs.argmin(axis=0) != APPROVE
        else:
            fixed = act_by.fixed or self._thresholds
            to_decide = scores.astype(np.float64) >= fixed.step_up
        for rule_file in self._policy.rules:
            to_decide |= rule_file.may_hit_rows(
                _Values(vectors, scores, probabilities, columns.table, rows), len(scores)
            )
        return Assessed(scores, probabilities, to_decide)

    def count_decided(self, times: Ints, arm: str = "") -> None:
        """Add transactions decided at these event times, of which declines of the day may be a share."""
        days, numbers = np.unique(times // DAY, return_counts=True)
        for day, number in zip(days.tolist(), numbers.tolist(), strict=True):
            self.quota.count_decided(day, number, arm)

    def count_rows(self, table: pa.Table, times: Ints, rows: slice) -> None:
        """Count rows of a stretch as decided; `times` are the event times of all its rows."""
        self.count_decided(times[rows])

    def preferred(self, tx: Transaction, vector: Floats, score: float, probability: float) -> int:
        """The action before limits and chance, as an index."""
        rule_input = RuleInput(tx, vector, score, probability)
        return self._policy.assess(rule_input, self._variant, self._thresholds, _raise).preferred

    def arm_of(self, card_id: str) -> ArmShare | None:
        """The arm of a card: there are none."""
        return None

    def move(self, table: pa.Table, row: int, card_id: str) -> None:
        """Note that a row's payment is made with another card than planned."""

    def decide(
        self,
        tx: Transaction,
        vector: Floats,
        score: float,
        probability: float,
        block: Block | None = None,
        arm: ArmShare | None = None,
    ) -> Choice:
        """The policy's choice for one transaction.

        Args:
            arm: whose part of the daily limits counts; None: the whole.
        """
        rule_input = RuleInput(tx, vector, score, probability)
        assessment = self._policy.assess(rule_input, self._variant, self._thresholds, _raise, block)
        if self._policy.limited:
            limits = limits_of_arm(self._policy.limits, arm)

            async def reserve(limit: Limit, day: int, tx_ids: Sequence[str]) -> list[bool]:
                return await self.quota.reserve(limits, limit, day, tx_ids, arm.arm if arm else "")

            run_at_once(reserve_quota(self._policy, [(tx, assessment)], reserve))
        return self._policy.choose(tx, assessment)

    def reasons(self, vector: Floats) -> list[str]:
        """The reasons of a decision that does not approve."""
        return self._forest.reasons(vector)


class _Values:
    """What rules can read of many transactions, by column; a `ColumnValues`."""

    def __init__(
        self, vectors: Floats, scores: Floats, probabilities: Doubles, table: pa.Table, rows: Ints
    ) -> None:
        self._vectors, self._scores, self._probabilities = vectors, scores, probabilities
        self._table, self._rows = table, rows

    def __call__(self, name: str) -> tuple[Ints, list[Any]]:
        """The distinct values of a column, and by row the index of its value among them."""
        kind, _, field = name.partition(".")
        if kind == "feature":
            return _distinct(self._vectors[:, _INDEX[field]].astype(np.float64))
        if kind == "score":
            return _distinct(self._scores.astype(np.float64))
        if kind == "probability":
            return _distinct(self._probabilities)
        if field not in self._table.column_names:
            return np.zeros(len(self._rows), np.int64), [None]
        table = self._table.select([field]).take(pa.array(self._rows))
        kind_of = table.schema.field(field).type
        if pa.types.is_integer(kind_of) or pa.types.is_floating(kind_of):
            return _distinct(column(table, field).astype(np.float64))
        indices, names = codes(table, field)
        return np.where(indices < 0, len(names), indices), [*names, None]


def _distinct(values: Doubles) -> tuple[Ints, list[Any]]:
    distinct, indices = np.unique(values, return_inverse=True)
    return indices.ravel(), [None if value != value else value for value in distinct.tolist()]  # noqa: PLR0124


def _raise(file: str, error: RuleError) -> None:
    raise error
