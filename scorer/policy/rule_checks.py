"""What a decision file must be to serve as a rule, before zen compiles it. Pure.

zen takes a cell that it cannot read for one that never hits, and a name that nobody knows for null; both are
refused here, by node and cell.
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
"""What a rule may look at; `sent_at` is wall clock, and no decision may depend on that."""
NODES: Final = ("inputNode", "outputNode", "decisionTableNode", "expressionNode", "switchNode")
"""The kinds of nodes a rule may have: a function could do anything, another decision could be anything."""

_MENTION = re.compile(r"(?<![\w.])(tx|feature)\b(?:\.([A-Za-z_]\w*))?")
_UNSTEADY = re.compile(r"\brand\s*\(|['\"]now['\"]|\b(?:d|date)\s*\(\s*\)")
_LITERAL = re.compile(r"""^\s*['"]([^'"]+)['"]\s*$""")


def check_decision(where: str, decision: Any) -> tuple[list[str], set[str]]:
    """The columns that a decision looks at (`feature.card_count_1m`), and the rules its tables name.

    Raises:
        FraudsimError: a node, an expression or a name that a rule may not have; `where` names the file.
    """
    try:
        nodes = [
            (node["type"], node.get("name", node["id"]), node.get("content")) for node in decision["nodes"]
        ]
        expressions = [
            (label, *each) for kind, label, content in nodes for each in _expressions(kind, content)
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise FraudsimError(f"policy {where}: it is no JSON Decision Model: {error!r}") from None
    for kind, label, _ in nodes:
        if kind not in NODES:
            raise FraudsimError(
                f"policy {where}: node {label!r} is a {kind}; a rule has only {', '.join(NODES)}"
            )
    columns: dict[str, None] = {}
    for label, place, text, unary in expressions:
        at = f"policy {where}: node {label!r}, {place}, {text!r}"
        if _UNSTEADY.search(text):
            raise FraudsimError(f"{at} depends on chance or on the time it runs; use tx.ts")
        try:
            (zen.compile_unary_expression if unary else zen.compile_expression)(text)
        except RuntimeError as error:
            raise FraudsimError(f"{at} cannot be read: {first_line(error)}") from None
        columns |= dict.fromkeys(_mentioned(at, text))
    return [*columns], {name for _, _, content in nodes for name in _named(content)}


def _expressions(kind: str, content: Any) -> Iterator[tuple[str, str, bool]]:
    """(place, text, whether it is a test of its column's value) of everything that zen will read."""
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
        for each in content["expressions"]:
            yield f"expression {each['key']}", each["value"], False
    elif kind == "switchNode":
        for number, each in enumerate(content["statements"]):
            if each["condition"].strip():
                yield f"statement {number}", each["condition"], False


def _mentioned(at: str, text: str) -> Iterator[str]:
    for kind, name in _MENTION.findall(text):
        known = TX_FIELDS if kind == "tx" else NAMES
        if not name:
            raise FraudsimError(f"{at}: write {kind}.NAME, so that it can be seen what is looked at")
        if name not in known:
            raise FraudsimError(f"{at}: {kind}.{name} is not known{like(name, known)}")
        yield f"{kind}.{name}"
    for name in ("score", "probability"):
        if re.search(rf"(?<![\w.'\"]){name}\b", text):
            yield name


def _named(content: Any) -> Iterator[str]:
    """The names that a table's rows give to their hits."""
    if isinstance(content, Mapping) and "rules" in content:
        ids = [column["id"] for column in content["outputs"] if column["field"] == "name"]
        for row in content["rules"]:
            for id_ in ids:
                literal = _LITERAL.match(row.get(id_) or "")
                if literal:
                    yield literal[1]


def like(name: str, known: Sequence[str]) -> str:
    """`; did you mean …?`, if one is near."""
    near = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {near[0]}?" if near else ""


def first_line(error: Exception) -> str:
    """zen's message without its stack; where it is JSON, what that says."""
    text = str(error).split("Stack backtrace")[0]
    try:
        said = json.loads(text)
        return f"{said['source']}"
    except (ValueError, KeyError, TypeError):
        return " ".join(text.split())
