"""The controls of a log: which are valid, what is in force, and where the stream has what was asked. Pure."""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import msgspec

from fraudsim.log.events import RunControl
from producers.scenario.script_file import PACED, TYPOLOGIES

PLACED_KINDS: Final = ("attack", "drift")
"""What becomes part of the stream, from the event time of its record `placed` on."""
POLICIES: Final = ("shipped", "previous")
_REQUIRED: Final[dict[str, tuple[str, ...]]] = {
    "attack": ("typology",),
    "drift": ("amounts",),
    "rate": ("share",),
    "pause": (),
    "resume": (),
    "kill": ("part",),
    "stop": ("part", "seconds"),
    "model": ("version",),
    "policy": ("version",),
    "placed": (),
}
_OPTIONAL: Final = {"attack": ("campaigns", "camouflage", "tempo")}
_COMMON: Final = ("control_id", "kind", "ts", "schema_version")
REMEMBERED: Final = 10_000
"""Controls of a log beyond this number are left out."""


class Placement(NamedTuple):
    """A request that has become part of the stream."""

    control: RunControl
    at_ms: int
    """Event time; everything that had been sent before is older, or as old."""


def problem_of(control: RunControl) -> str | None:
    """Why a control cannot be followed, with its field; None where it can.

    >>> problem_of(RunControl(control_id="c1", kind="stop", ts=0, part="worker"))
    'seconds: a stop needs it'
    """
    needed = _REQUIRED[control.kind]
    allowed = {*needed, *_OPTIONAL.get(control.kind, ()), *_COMMON}
    for name in control.__struct_fields__:
        is_set = getattr(control, name) is not None
        if name in needed and not is_set:
            return f"{name}: a {control.kind} needs it"
        if is_set and name not in allowed:
            return f"{name}: a {control.kind} has none"
    if control.kind == "attack" and control.typology not in TYPOLOGIES:
        return f"typology: {control.typology!r} is none of {', '.join(TYPOLOGIES)}"
    if control.tempo is not None and control.typology not in PACED:
        return f"tempo: {control.typology} goes at its own pace; {', '.join(PACED)} have a tempo"
    if control.kind == "policy" and control.version not in POLICIES:
        return f"version: {control.version!r} is none of {', '.join(POLICIES)}"
    return None


def describe(control: RunControl) -> str:
    """A control for people.

    >>> describe(RunControl(control_id="c1", kind="stop", ts=0, part="worker", seconds=5.0))
    'stop worker, 5 seconds'
    """
    fields = {name: value for name, value in msgspec.structs.asdict(control).items() if value is not None}
    named = [str(fields.pop(name)) for name in ("typology", "part", "version") if name in fields]
    numbers = [f"{v:g} {name}" for name, v in fields.items() if name not in _COMMON]
    return ", ".join([" ".join([control.kind, *named]), *numbers])


class Controls:
    """The valid controls of a log, in its order. Of several with one id the first counts."""

    def __init__(self) -> None:
        self.requests: dict[str, RunControl] = {}
        self.placements: list[Placement] = []
        self._placed: set[str] = set()
        self.share = 1.0
        """Of the rate with which the run was started."""
        self.paused = False

    def add(self, control: RunControl) -> str | None:
        """Take in a control; returns why it does not count, or None."""
        problem = problem_of(control)
        if problem is not None:
            return problem
        if control.kind == "placed":
            return self._add_placement(control)
        if control.control_id in self.requests:
            return f"control_id: {control.control_id} occurs before"
        if len(self.requests) >= REMEMBERED:
            return f"control_id: there are {REMEMBERED:,} controls already"
        self.requests[control.control_id] = control
        if control.kind == "rate":
            assert control.share is not None
            self.share = control.share
        elif control.kind in ("pause", "resume"):
            self.paused = control.kind == "pause"
        return None

    def _add_placement(self, placed: RunControl) -> str | None:
        request = self.requests.get(placed.control_id)
        if request is None or request.kind not in PLACED_KINDS:
            return f"control_id: nothing to be placed was asked as {placed.control_id}"
        if placed.control_id in self._placed:
            return f"control_id: {placed.control_id} has its place already"
        self._placed.add(placed.control_id)
        self.placements.append(Placement(request, placed.ts))
        return None

    def unplaced(self) -> Iterator[RunControl]:
        """The requests that are to become part of the stream and have no place yet."""
        requests = [*self.requests.values()]
        return (r for r in requests if r.kind in PLACED_KINDS and r.control_id not in self._placed)


OnControl = Callable[[RunControl, int], None]
"""Takes a valid control and the broker's time of its record, ms."""
