"""What must hold before a decision table can hit, cheap enough to ask of every transaction. Pure.

An evaluation by zen takes tens of microseconds, and hardly any transaction is hit by a rule. A row of a table
hits only where all its cells do; so where a cell compares a number, or lists texts, its row needs no
evaluation unless that comparison holds. The guard says "perhaps" or "no"; what hits is zen's to say.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

SLACK: Final = 1e-9
"""Relative; zen computes with decimals, so near a bound the guard says "perhaps"."""

Value = float | int | str | bool | None
Condition = Callable[[Any], bool]

_NUMBER = re.compile(r"^\s*(>=|>|<=|<)\s*(-?\d+(?:_?\d)*(?:\.\d+)?)\s*$")
_TEXTS = re.compile(r"""^\s*(?:'[^'"\\]*'|\[\s*'[^'"\\]*'(?:\s*,\s*'[^'"\\]*')*\s*\])\s*$""")
_PLAIN = re.compile(r"^(?:(?:tx|feature)\.\w+|score|probability)$")


def condition_of(cell: str) -> Condition | None:
    """What must hold of a column's value for this cell to hit; None where that is not seen at once."""
    number = _NUMBER.match(cell)
    if number:
        bound = float(number[2].replace("_", ""))
        slack = SLACK * abs(bound) + SLACK
        if number[1] in (">", ">="):
            return lambda value: isinstance(value, int | float) and value >= bound - slack
        return lambda value: isinstance(value, int | float) and value <= bound + slack
    if _TEXTS.match(cell):
        wanted = frozenset(re.findall("'([^']*)'", cell))
        return lambda value: value in wanted
    return None


Row = Sequence[tuple[str, Condition]]
"""Columns (as `tx.channel`) and what must hold of each."""


def guard_of(decision: Mapping[str, Any]) -> list[Row] | None:
    """The conditions of each row of a lone decision table; None where every transaction must be evaluated."""
    nodes = {node["type"]: node for node in decision["nodes"]}
    if len(decision["nodes"]) != 3 or set(nodes) != {"inputNode", "decisionTableNode", "outputNode"}:
        return None
    content = nodes["decisionTableNode"]["content"]
    if any(content.get(key) for key in ("inputField", "outputPath", "executionMode", "passThrough")):
        return None
    columns = {
        column["id"]: column["field"]
        for column in content["inputs"]
        if _PLAIN.match(column.get("field") or "")
    }
    rows: list[Row] = []
    for rule in content["rules"]:
        found = [(field, condition_of(rule.get(id_) or "")) for id_, field in columns.items()]
        row = [(field, condition) for field, condition in found if condition is not None]
        if not row:
            return None
        rows.append(row)
    return rows
