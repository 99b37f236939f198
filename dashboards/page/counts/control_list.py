"""The controls of a log as the page lists and marks them. Pure."""

from collections import OrderedDict
from typing import Any, Final

import msgspec

from fraudsim.log.events import RunControl
from producers.controls.controls import Controls, describe

KEPT: Final = 100
BANK_KINDS: Final = ("kill", "stop", "model", "policy")
"""What a bank does to its own line; the others make the traffic, which only the simulation knows."""


class ShownControl(msgspec.Struct):
    """One control, when it was asked, and since when the stream has it."""

    control_id: str
    kind: str
    text: str
    at_s: float
    """Unix time of its record."""
    ts: int
    placed_ms: int | None = None

    @property
    def is_of_a_bank(self) -> bool:
        return self.kind in BANK_KINDS


class ControlList:
    """The latest controls, and what is in force."""

    def __init__(self) -> None:
        self.controls = Controls()
        self._shown: OrderedDict[str, ShownControl] = OrderedDict()

    def add(self, control: RunControl, broker_ts_ms: int) -> str | None:
        """Take in a control; returns why it does not count, or None."""
        problem = self.controls.add(control)
        if problem is not None:
            return problem
        if control.kind == "placed":
            shown = self._shown.get(control.control_id)
            if shown is not None:
                shown.placed_ms = control.ts
            return None
        self._shown[control.control_id] = ShownControl(
            control.control_id, control.kind, describe(control), broker_ts_ms / 1000, control.ts
        )
        if len(self._shown) > KEPT:
            self._shown.popitem(last=False)
        return None

    def latest(self, truth: bool) -> list[ShownControl]:
        """The newest first; without the truth, those that a bank knows of."""
        return [shown for shown in reversed(self._shown.values()) if truth or shown.is_of_a_bank]

    def in_force(self) -> dict[str, Any]:
        """The share of the rate, and whether the run is paused."""
        return {"share": self.controls.share, "paused": self.controls.paused}
