"""Rules as zen-engine decision files: compiled when read, evaluated only where they could hit. Pure.

A rule file is a JSON Decision Model. Its input is `tx` (the transaction's own fields), `feature` (those of
the catalogue, null where unknown), `score` and `probability`. Its result is a list of {name, action}, or has
one in `hits`.
"""

import math
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, Final, Protocol

import msgspec
import numpy as np
import zen

from fraudsim.arrays import Flags, Ints
from fraudsim.errors import FraudsimError
from fraudsim.log.events import Action, Transaction
from scorer.policy.rule_checks import check_decision, first_line
from scorer.policy.rule_guard import Value, guard_of
from stream_features.catalogue.features import NAMES
from stream_features.kernels.state import Vector

_FEATURE_INDEX: Final = {name: index for index, name in enumerate(NAMES)}


class Hit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule that applies, and the mildest action it allows."""

    name: str
    action: Action


class RuleError(Exception):
    """zen could not evaluate a rule, or its result is no list of hits."""


class RuleInput(msgspec.Struct, frozen=True):
    """What rules can read of one transaction; features in catalogue order, shape (SIZE,)."""

    tx: Transaction
    features: Vector
    score: float
    probability: float


class ColumnValues(Protocol):
    """Values of many transactions."""

    def __call__(self, name: str) -> tuple[Ints, list[Any]]:
        """The distinct values of a column, None for null, and the index of each transaction's value."""
        ...


class RuleFile:
    """One decision file, compiled."""

    def __init__(self, name: str, where: str, decision: Mapping[str, Any]) -> None:
        """`where` names the file in messages.

        Raises:
            FraudsimError: the decision may not be a rule.
        """
        self.name = name
        self.columns, self.rule_names = check_decision(where, decision)
        self._getters = {column: _getter(column) for column in self.columns}
        try:
            self._engine = zen.ZenEngine({"loader": {"type": "static", "content": {name: dict(decision)}}})
            self._engine.get_decision(name).validate()
        except Exception as error:  # zen raises many types, bare exceptions among them
            raise FraudsimError(f"policy {where}: {first_line(error)}") from None
        self._guard_columns = guard_of(decision) or []
        self._guard = [[(_getter(column), holds) for column, holds in row] for row in self._guard_columns]

    @property
    def always_evaluated(self) -> bool:
        """Whether there is no guard that tells cheaply which transactions the rules cannot hit."""
        return not self._guard

    def may_hit(self, rule_input: RuleInput) -> bool:
        """False only where the rules cannot hit."""
        if not self._guard:
            return True
        for row in self._guard:
            for get, holds in row:
                if not holds(get(rule_input)):
                    break
            else:
                return True
        return False

    def may_hit_rows(self, values: "ColumnValues", rows: int) -> Flags:
        """`may_hit` of many transactions at once, shape (rows,)."""
        may_hit = np.full(rows, not self._guard_columns)
        for row in self._guard_columns:
            holding = np.ones(rows, np.bool_)
            for column, holds in row:
                if holding.any():
                    indices, distinct = values(column)
                    used = np.unique(indices[holding])
                    holds_for = np.zeros(len(distinct), np.bool_)
                    holds_for[used] = [bool(holds(distinct[index])) for index in used.tolist()]
                    holding &= holds_for[indices]
            may_hit |= holding
        return may_hit

    def hits(self, rule_input: RuleInput) -> list[Hit]:
        """The hits of one transaction. Raises RuleError."""
        return self.evaluate(self.values(rule_input))

    def values(self, rule_input: RuleInput) -> dict[str, Value]:
        """The values that the rules read, by column."""
        return {column: get(rule_input) for column, get in self._getters.items()}

    def evaluate(self, values: Mapping[str, Value]) -> list[Hit]:
        """The hits for these values by column; a missing column is null. Raises RuleError."""
        context: dict[str, Any] = {"tx": {}, "feature": {}}
        for column in self.columns:
            kind, _, name = column.partition(".")
            if name:
                context[kind][name] = values.get(column)
            else:
                context[kind] = values.get(column)
        try:
            # Through the engine's own loader: a decision object takes ten times as long (gorules/zen #441).
            result: Any = self._engine.evaluate(self.name, context)["result"]
        except Exception as error:
            raise RuleError(first_line(error)) from None
        if isinstance(result, Mapping):
            result = result.get("hits", [result] if result else [])
        try:
            return msgspec.convert(result or [], list[Hit])
        except msgspec.ValidationError as error:
            raise RuleError(f"its result is no list of {{name, action}}: {error}") from None


def _getter(column: str) -> Callable[[RuleInput], Value]:
    kind, _, name = column.partition(".")
    if kind == "feature":
        index = _FEATURE_INDEX[name]
        return lambda rule_input: None if math.isnan(value := float(rule_input.features[index])) else value
    get: Callable[[RuleInput], Value] = attrgetter(column)
    return get
