"""Rules as zen-engine decision files: compiled when read, asked only where they could hit. Pure.

A rule file is a JSON Decision Model. It is given `tx` (the transaction's own fields), `feature` (the
catalogue's, null where unknown), `score` and `probability`, and results in a list of {name, action}, or has
one in `hits`.
"""

import math
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, Final

import msgspec
import zen

from fraudsim.errors import FraudsimError
from fraudsim.log.events import Action, Transaction
from scorer.policy.rule_checks import check_decision, first_line
from scorer.policy.rule_guard import Value, guard_of
from stream_features.catalogue.features import NAMES
from stream_features.kernels.state import Vector

_PLACE: Final = {name: place for place, name in enumerate(NAMES)}


class Hit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule that applies, and the least action it asks for."""

    name: str
    action: Action


class RuleError(Exception):
    """zen could not evaluate a rule, or its result is no list of hits."""


class Seen(msgspec.Struct, frozen=True):
    """What rules may look at of one transaction; features in catalogue order, shape (SIZE,)."""

    tx: Transaction
    features: Vector
    score: float
    probability: float


class RuleFile:
    """One decision file, compiled."""

    def __init__(self, name: str, where: str, decision: Mapping[str, Any]) -> None:
        """`where` is the file, for messages.

        Raises:
            FraudsimError: it is no decision that may be a rule.
        """
        self.name = name
        self.columns, self.rule_names = check_decision(where, decision)
        self._getters = {column: _getter(column) for column in self.columns}
        try:
            self._engine = zen.ZenEngine({"loader": {"type": "static", "content": {name: dict(decision)}}})
            self._engine.get_decision(name).validate()
        except Exception as error:  # zen raises whatever it has, bare exceptions among it
            raise FraudsimError(f"policy {where}: {first_line(error)}") from None
        self._guard = [
            [(_getter(column), holds) for column, holds in row] for row in guard_of(decision) or []
        ]

    @property
    def always_asked(self) -> bool:
        """Whether nothing cheap tells which transactions it cannot hit."""
        return not self._guard

    def perhaps(self, seen: Seen) -> bool:
        """False only where it cannot hit."""
        if not self._guard:
            return True
        for row in self._guard:
            for get, holds in row:
                if not holds(get(seen)):
                    break
            else:
                return True
        return False

    def hits(self, seen: Seen) -> list[Hit]:
        """What zen says. Raises RuleError."""
        return self.evaluate(self.values(seen))

    def values(self, seen: Seen) -> dict[str, Value]:
        """What it looks at, by column."""
        return {column: get(seen) for column, get in self._getters.items()}

    def evaluate(self, values: Mapping[str, Value]) -> list[Hit]:
        """What zen says to these values of its columns; what is left out is null. Raises RuleError."""
        context: dict[str, Any] = {"tx": {}, "feature": {}}
        for column in self.columns:
            kind, _, name = column.partition(".")
            if name:
                context[kind][name] = values.get(column)
            else:
                context[kind] = values.get(column)
        try:
            # By way of the engine's own loader: a decision object takes ten times as long (gorules/zen #441).
            result: Any = self._engine.evaluate(self.name, context)["result"]
        except Exception as error:
            raise RuleError(first_line(error)) from None
        if isinstance(result, Mapping):
            result = result.get("hits", [result] if result else [])
        try:
            return msgspec.convert(result or [], list[Hit])
        except msgspec.ValidationError as error:
            raise RuleError(f"its result is no list of {{name, action}}: {error}") from None


def _getter(column: str) -> Callable[[Seen], Value]:
    kind, _, name = column.partition(".")
    if kind == "feature":
        place = _PLACE[name]
        return lambda seen: None if math.isnan(value := float(seen.features[place])) else value
    get: Callable[[Seen], Value] = attrgetter(column)
    return get
