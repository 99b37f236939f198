"""Checks of a decision file before zen compiles it into a rule. Pure.

zen treats a cell that it cannot read as one that never hits, and an unknown name as null. Both are refused
here, with the node and the cell.
"""

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import zen

from fraudsim.errors import FraudsimError
from fraudsim.log.events import Transaction
from stream_features.catalogue.features import NAMES

TX_FIELDS: Final = tuple(
    name for name in Transaction.__struct_fields__ if name not in ("schema_version", "sent_at")
)
"""Fields that a rule may read; `sent_at` is wall clock, on which no decision may depend."""
NODES: Final = ("inputNode", "outputNode", "decisionTableNode", "expressionNode", "switchNode")
"""Node types that a rule may have. Functions and nested decisions are refused: they could do anything."""

_MENTION = re.compile(r"(?<![\w.])(tx|feature)\b(?:\.([A-Za-z_]\w*))?")
_NONDETERMINISTIC = re.compile(r"\brand\s*\(|['\"]now['\"]|\b(?:d|date)\s*\(\s*\)")
_LITERAL = re.compile(r"""^\s*['"]([^'"]+)['"]\s*$""")


def check_decision(where: str, decision: Any) -> tuple[list[str], set[str]]:
    """The columns that a decision reads (`feature.card_count_1m`), and the rules its tables name.

    Raises:
        FraudsimError: a node, an expression or a name that a rule may not have; `where` names the file.
    """
    try:
        nodes = [
            (node["type"], node.get("name", node["id"]), node.get("content")) for node in decision["nodes"]
        ]
        expressions = [
            (label, *expression)
            for kind, label, content in nodes
            for expression in _expressions(kind, content)
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise FraudsimError(f"policy {where}: it is no JSON Decision Model: {error!r}") from None
    for kind, label, _ in nodes:
        if kind not in NODES:
            raise FraudsimError(
                f"policy {where}: node {label!r} is a {kind}; a rule has only {', '.join(NODES)}"
            )
    columns: dict[str, None] = {}
    for label, part, text, unary in expressions:
        location = f"policy {where}: node {label!r}, {part}, {text!r}"
        if _NONDETERMINISTIC.search(text):
            raise FraudsimError(f"{location} depends on chance or on the time it runs; use tx.ts")
        try:
            (zen.compile_unary_expression if unary else zen.compile_expression)(text)
        except RuntimeError as error:
            raise FraudsimError(f"{location} cannot be read: {first_line(error)}") from None
        columns |= dict.fromkeys(_columns_in(location, text))
    return [*columns], {name for _, _, content in nodes for name in _rule_names(content)}


def _expressions(kind: str, content: Any) -> Iterator[tuple[str, str, bool]]:
    """(part of the node, text, whether it is a unary test of its column's value) of all that zen reads."""
    if kind == "decisionTableNode":
        tests = {column["id"]: column.get("field") or "" for column in content["inputs"]}
        for field in filter(None, tests.values()):
            yield f"column {field}", field, False
        outputs = {column["id"]: column["field"] for column in content["outputs"]}
        for number, row in enumerate(content["rules"]):
            for id_, field in (tests | outputs).items():
                text = row.get(id_) or ""
                if text.strip():
                    yield f"row {number}, column {field}", text, bool(id_ in tests and field)
    elif kind == "expressionNode":
        for expression in content["expressions"]:
            yield f"expression {expression['key']}", expression["value"], False
    elif kind == "switchNode":
        for number, statement in enumerate(content["statements"]):
            if statement["condition"].strip():
                yield f"statement {number}", statement["condition"], False


def _columns_in(location: str, text: str) -> Iterator[str]:
    for kind, name in _MENTION.findall(text):
        names = TX_FIELDS if kind == "tx" else NAMES
        if not name:
            raise FraudsimError(f"{location}: write {kind}.NAME, so that the fields it reads are known")
        if name not in names:
            raise FraudsimError(f"{location}: {kind}.{name} is not known{suggestion(name, names)}")
        yield f"{kind}.{name}"
    for name in ("score", "probability"):
        if re.search(rf"(?<![\w.'\"]){name}\b", text):
            yield name


def _rule_names(content: Any) -> Iterator[str]:
    """The names that a table's rows give to their hits."""
    if isinstance(content, Mapping) and "rules" in content:
        ids = [column["id"] for column in content["outputs"] if column["field"] == "name"]
        for row in content["rules"]:
            for id_ in ids:
                literal = _LITERAL.match(row.get(id_) or "")
                if literal:
                    yield literal[1]


def suggestion(name: str, names: Sequence[str]) -> str:
    """`; did you mean …?`, if a similar name exists."""
    matches = difflib.get_close_matches(name, names, 1)
    return f"; did you mean {matches[0]}?" if matches else ""


def first_line(error: Exception) -> str:
    """zen's message without its stack trace; of a JSON message, its source."""
    text = str(error).split("Stack backtrace")[0]
    try:
        message = json.loads(text)
        return f"{message['source']}"
    except (ValueError, KeyError, TypeError):
        return " ".join(text.split())
