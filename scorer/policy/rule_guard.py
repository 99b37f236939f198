"""Necessary conditions for a decision table to hit, cheap enough to test on every transaction. Pure.

An evaluation by zen takes tens of microseconds, and few transactions are hit by a rule. A row of a table hits
only where all its cells do. So where a cell compares a number or lists texts, its row needs no evaluation
unless that comparison holds. The guard answers "may hit" or "cannot hit"; zen decides which rules hit.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

SLACK: Final = 1e-9
"""Relative; zen computes with decimals, so near a bound the guard answers "may hit"."""

Value = float | int | str | bool | None
Condition = Callable[[Any], bool]

_NUMBER = re.compile(r"^\s*(>=|>|<=|<)\s*(-?\d+(?:_?\d)*(?:\.\d+)?)\s*$")
_TEXTS = re.compile(r"""^\s*(?:'[^'"\\]*'|\[\s*'[^'"\\]*'(?:\s*,\s*'[^'"\\]*')*\s*\])\s*$""")
_PLAIN = re.compile(r"^(?:(?:tx|feature)\.\w+|score|probability)$")


def condition_of(cell: str) -> Condition | None:
    """What a column's value must satisfy for this cell to hit; None for a cell of any other form."""
    number = _NUMBER.match(cell)
    if number:
        bound = float(number[2].replace("_", ""))
        slack = SLACK * abs(bound) + SLACK
        if number[1] in (">", ">="):
            return lambda value: isinstance(value, int | float) and value >= bound - slack
        return lambda value: isinstance(value, int | float) and value <= bound + slack
    if _TEXTS.match(cell):
        texts = frozenset(re.findall("'([^']*)'", cell))
        return lambda value: value in texts
    return None


Row = Sequence[tuple[str, Condition]]
"""Columns (such as `tx.channel`), each with its condition."""


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
        conditions = [(field, condition_of(rule.get(id_) or "")) for id_, field in columns.items()]
        row = [(field, condition) for field, condition in conditions if condition is not None]
        if not row:
            return None
        rows.append(row)
    return rows
