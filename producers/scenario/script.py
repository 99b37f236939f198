"""A scenario file: what shall happen on a live stream, and when. YAML in, checked effects out.

Times count from the start of the live stream, in event time: `90m`, `2h`, `1d`. Every error names the
line, the field, the value and what would be right.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
import yaml
from msgspec import Meta

from fraudsim.errors import FraudsimError
from fraudsim.log.acceptance import name_field
from producers.reference import CATEGORY_INDEX
from producers.typologies import TYPOLOGY_CLASSES

MAX_BYTES: Final = 1_000_000
MAX_EVENTS: Final = 1_000
_UNIT_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION: Final = r"^\d+(\.\d+)?[smhd]$"

Duration = Annotated[str, Meta(pattern=_DURATION)]
Share = Annotated[float, Meta(gt=0, le=1)]
TYPOLOGIES: Final = tuple(scheme.name for scheme in TYPOLOGY_CLASSES)


class _Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every event has."""


class Attack(_Event, frozen=True, tag="attack", tag_field="event"):
    """Campaigns of a typology beyond the world's own."""

    typology: str
    at: Duration
    campaigns: Annotated[int, Meta(ge=1, le=10_000)] = 1
    camouflage: Annotated[float, Meta(ge=0, le=1)] = 0.5


class Drift(_Event, frozen=True, tag="drift", tag_field="event"):
    """Amounts change: at once, step by step, or to and fro once per `until - from`."""

    kind: Literal["sudden", "gradual", "seasonal"]
    from_: Duration = msgspec.field(name="from")
    until: Duration
    amounts: Annotated[float, Meta(ge=0.05, le=20)]
    """Factor at its full strength."""
    category: str | None = None
    """Of merchants; all of them if absent."""


class Outage(_Event, frozen=True, tag="outage", tag_field="event"):
    """A merchant takes no payments."""

    merchant: Annotated[str, Meta(pattern=r"^[!-~]{1,64}$")]
    from_: Duration = msgspec.field(name="from")
    until: Duration


class Peak(_Event, frozen=True, tag="peak", tag_field="event"):
    """More honest traffic of the same people."""

    from_: Duration = msgspec.field(name="from")
    until: Duration
    times: Annotated[float, Meta(gt=1, le=20)]


class Fault(_Event, frozen=True, tag="fault", tag_field="event"):
    """Bad data: a share of the transactions is touched.

    `late`, `out_of_order` and `clock_skewed` put the event time off from the arrival, in multiples of the
    limit that the log's clock states: at most a half (still valid) or at least 2 (set aside), so that
    wall-clock jitter changes no count. `late` is behind by just that, `out_of_order` by anything up to it,
    `clock_skewed` ahead. `duplicated` and `malformed` send further records and leave the transaction alone.
    """

    kind: Literal["late", "out_of_order", "clock_skewed", "duplicated", "malformed"]
    from_: Duration = msgspec.field(name="from")
    until: Duration
    share: Share
    limits: Annotated[float, Meta(gt=0, le=100)] | None = None


Event = Attack | Drift | Outage | Peak | Fault


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A scenario file."""

    version: Literal[1]
    events: Annotated[list[Event], Meta(min_length=1, max_length=MAX_EVENTS)]
    seed: Annotated[int, Meta(ge=0, le=2**53)] = 0


def duration_ms(text: str) -> int:
    """`90m` and the like in ms.

    >>> duration_ms("90m"), duration_ms("1.5d")
    (5400000, 129600000)
    """
    return round(float(text[:-1]) * _UNIT_MS[text[-1]])


def read_script(path: Path) -> Script:
    """Read and check a scenario file.

    Raises:
        FraudsimError: it cannot be read or is not right; one line that names file, line, field and value.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise FraudsimError(f"script {path}: {path.stat().st_size} bytes, at most {MAX_BYTES}")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise FraudsimError(f"script {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise FraudsimError(f"script {path}: byte {error.start} is not UTF-8") from None
    lines: dict[str, int] = {}
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        document = _plain(node, "", lines) if node is not None else None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise FraudsimError(f"script {path}: line {line}: {error.problem}") from None
    except yaml.YAMLError as error:
        raise FraudsimError(f"script {path}: {' '.join(str(error).split())}") from None
    try:
        script = msgspec.convert(document, Script)
    except msgspec.ValidationError as error:
        place, reason = _place(str(error))
        raise FraudsimError(f"script {path}: line {_line(place, lines)}: {reason}") from None
    for number, event in enumerate(script.events):
        wrong = _wrong(event)
        if wrong is not None:
            field, reason = wrong
            line = _line(f"events[{number}].{field}", lines)
            raise FraudsimError(f"script {path}: line {line}: {reason}")
    return script


def describe_script(script: Script) -> str:
    """A line for each event, in order of time: when it is, and what."""
    rows = []
    for event in script.events:
        when = event.at if isinstance(event, Attack) else f"{event.from_} to {event.until}"
        begin = event.at if isinstance(event, Attack) else event.from_
        fields = msgspec.to_builtins(event)
        what = [str(fields.pop("event"))]
        what += [f"{name} {value}" for name, value in fields.items() if name not in ("at", "from", "until")]
        rows.append(
            (duration_ms(begin), f"{when:<16}{', '.join(w for w in what if not w.endswith(' None'))}")
        )
    return "\n".join(row for _, row in sorted(rows, key=lambda row: row[0]))


def _plain(node: yaml.Node, place: str, lines: dict[str, int]) -> Any:
    """A node as plain values; notes the line of every place. A key given twice is an error."""
    lines[place] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in mapping:
                raise yaml.MarkedYAMLError(problem=f"{key} is given twice", problem_mark=key_node.start_mark)
            mapping[key] = _plain(value_node, f"{place}.{key}".lstrip("."), lines)
            lines[f"{place}.{key}".lstrip(".")] = key_node.start_mark.line + 1
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, f"{place}[{i}]", lines) for i, item in enumerate(node.value)]
    return yaml.SafeLoader("").construct_object(node)


_PATH: Final = re.compile(r" - at `(?:key in )?\$\.?([^`]*)`")


def _place(message: str) -> tuple[str, str]:
    """Where a msgspec message points, and the message with its field first."""
    found = _PATH.search(message)
    place = found.group(1) if found else ""
    field, _ = name_field(message)
    reason = _PATH.sub("", message)
    named = place.rpartition(".")[2] or place
    return place, f"{named or field}: {reason}" if named or field != "value" else reason


def _line(place: str, lines: dict[str, int]) -> int:
    """The line of a place, or of the nearest thing around it that has one."""
    while place and place not in lines:
        cut = max(place.rfind("."), place.rfind("["))
        place = place[:cut] if cut > 0 else ""
    return lines.get(place, 1)


def _wrong(event: Event) -> tuple[str, str] | None:
    """What no type can say: field and reason."""
    if isinstance(event, Attack):
        if event.typology not in TYPOLOGIES:
            return "typology", f"typology: {event.typology!r} is none of {', '.join(TYPOLOGIES)}"
        return None
    if duration_ms(event.from_) >= duration_ms(event.until):
        return "until", f"until: {event.until!r} must be after from: {event.from_!r}"
    if isinstance(event, Drift) and event.category is not None and event.category not in CATEGORY_INDEX:
        return "category", f"category: {event.category!r} is none of {', '.join(CATEGORY_INDEX)}"
    if isinstance(event, Fault):
        return _wrong_fault(event)
    return None


def _wrong_fault(fault: Fault) -> tuple[str, str] | None:
    needs = fault.kind in ("late", "out_of_order", "clock_skewed")
    if needs and fault.limits is None:
        return "kind", f"limits: {fault.kind} needs it, at most 0.5 (still valid) or at least 2 (set aside)"
    if not needs and fault.limits is not None:
        return "limits", f"limits: {fault.kind} has none"
    if fault.limits is not None and 0.5 < fault.limits < 2:
        return "limits", f"limits: {fault.limits:g} lies between 0.5 and 2, where jitter would decide"
    if fault.kind == "out_of_order" and fault.limits is not None and fault.limits > 0.5:
        return "limits", f"limits: {fault.limits:g} for out_of_order must be at most 0.5; late is for more"
    return None
