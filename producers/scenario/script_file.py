"""Reading, checking and describing scenario files: YAML in, a checked `Script` out.

Every error is one line that names the file's line, the field, the value and what would be right.
"""

import re
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from fraudsim.durations import duration_ms
from fraudsim.errors import FraudsimError
from fraudsim.log.acceptance import name_field
from producers.reference import CATEGORY_INDEX
from producers.scenario.schema import Attack, Drift, Event, Fault, Script
from producers.typologies import TYPOLOGY_CLASSES

MAX_BYTES: Final = 1_000_000
TYPOLOGIES: Final = tuple(scheme.name for scheme in TYPOLOGY_CLASSES)
PACED: Final = tuple(scheme.name for scheme in TYPOLOGY_CLASSES if scheme.follows_tempo)
_MESSAGE_PATH: Final = re.compile(r" - at `(?:key in )?\$\.?([^`]*)`")
"""Where a msgspec message points, such as `$.events[0].share`."""


def read_script(path: Path) -> Script:
    """Read and check a scenario file.

    Raises:
        FraudsimError: it cannot be read or is not valid.
    """
    text = _read_text(path)
    lines: dict[str, int] = {}
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        document = _to_plain(node, "", lines) if node is not None else None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise FraudsimError(f"script {path}: line {line}: {error.problem}") from None
    except yaml.YAMLError as error:
        raise FraudsimError(f"script {path}: {' '.join(str(error).split())}") from None
    try:
        script = msgspec.convert(document, Script)
    except msgspec.ValidationError as error:
        field_path, reason = _split_message(str(error))
        raise FraudsimError(f"script {path}: line {_line_of(field_path, lines)}: {reason}") from None
    for number, event in enumerate(script.events):
        problem = _find_problem(event)
        if problem is not None:
            field, reason = problem
            line = _line_of(f"events[{number}].{field}", lines)
            raise FraudsimError(f"script {path}: line {line}: {reason}")
    return script


def _read_text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise FraudsimError(f"script {path}: {path.stat().st_size} bytes, at most {MAX_BYTES}")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise FraudsimError(f"script {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise FraudsimError(f"script {path}: byte {error.start} is not UTF-8") from None


def describe_script(script: Script) -> str:
    """One line per event, in order of time: when it happens, and its fields."""
    rows = []
    for event in script.events:
        when = event.at if isinstance(event, Attack) else f"{event.from_} to {event.until}"
        begin = event.at if isinstance(event, Attack) else event.from_
        fields = msgspec.to_builtins(event)
        texts = [str(fields.pop("event"))]
        texts += [f"{name} {value}" for name, value in fields.items() if name not in ("at", "from", "until")]
        description = ", ".join(text for text in texts if not text.endswith(" None"))
        rows.append((duration_ms(begin), f"{when:<16}{description}"))
    return "\n".join(row for _, row in sorted(rows, key=lambda row: row[0]))


def _to_plain(node: yaml.Node, path: str, lines: dict[str, int]) -> Any:
    """A node as plain values; notes the line of every field path. A repeated key is an error."""
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in mapping:
                raise yaml.MarkedYAMLError(problem=f"{key} is given twice", problem_mark=key_node.start_mark)
            field_path = f"{path}.{key}".lstrip(".")
            mapping[key] = _to_plain(value_node, field_path, lines)
            lines[field_path] = key_node.start_mark.line + 1
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [_to_plain(item, f"{path}[{i}]", lines) for i, item in enumerate(node.value)]
    return yaml.SafeLoader("").construct_object(node)


def _split_message(message: str) -> tuple[str, str]:
    """The field path that a msgspec message points to, and the message with its field first."""
    match = _MESSAGE_PATH.search(message)
    path = match.group(1) if match else ""
    field, _ = name_field(message)
    reason = _MESSAGE_PATH.sub("", message)
    last_field = path.rpartition(".")[2] or path
    return path, f"{last_field or field}: {reason}" if last_field or field != "value" else reason


def _line_of(path: str, lines: dict[str, int]) -> int:
    """The line of a field path, or of the nearest enclosing one that has a line."""
    while path and path not in lines:
        cut = max(path.rfind("."), path.rfind("["))
        path = path[:cut] if cut > 0 else ""
    return lines.get(path, 1)


def _find_problem(event: Event) -> tuple[str, str] | None:
    """A problem that the schema's types do not exclude: field and reason."""
    if isinstance(event, Attack):
        if event.typology not in TYPOLOGIES:
            return "typology", f"typology: {event.typology!r} is none of {', '.join(TYPOLOGIES)}"
        if event.tempo is not None and event.typology not in PACED:
            return "tempo", f"tempo: {event.typology} goes at its own pace; {', '.join(PACED)} have a tempo"
        return None
    if duration_ms(event.from_) >= duration_ms(event.until):
        return "until", f"until: {event.until!r} must be after from: {event.from_!r}"
    if isinstance(event, Drift) and event.category is not None and event.category not in CATEGORY_INDEX:
        return "category", f"category: {event.category!r} is none of {', '.join(CATEGORY_INDEX)}"
    if isinstance(event, Fault):
        return _find_fault_problem(event)
    return None


def _find_fault_problem(fault: Fault) -> tuple[str, str] | None:
    needs_limits = fault.kind in ("late", "out_of_order", "clock_skewed")
    if needs_limits and fault.limits is None:
        return "kind", f"limits: {fault.kind} needs it, at most 0.5 (still valid) or at least 2 (set aside)"
    if not needs_limits and fault.limits is not None:
        return "limits", f"limits: {fault.kind} has none"
    if fault.limits is not None and 0.5 < fault.limits < 2:
        return "limits", f"limits: {fault.limits:g} lies between 0.5 and 2, where jitter would decide"
    if fault.kind == "out_of_order" and fault.limits is not None and fault.limits > 0.5:
        return "limits", f"limits: {fault.limits:g} for out_of_order must be at most 0.5; late is for more"
    return None
