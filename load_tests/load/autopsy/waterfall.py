"""The stages of the requests at a quantile: not the quantiles of the stages, which sum to no request."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from load_tests.load.clocks.records import Records

MARKS: Final = (
    "intended", "ready", "sent", "appended", "received", "dequeued", "state_read", "features", "scored",
    "decided", "completed",
)  # fmt: skip
TITLES: Final[Mapping[str, str]] = {
    "ready": "waiting for a sender",
    "sent": "connecting",
    "appended": "to the broker's log",
    "received": "to the scorer",
    "dequeued": "in the scorer's queue",
    "state_read": "reading state",
    "features": "features",
    "scored": "scoring",
    "decided": "rules and policy",
    "completed": "back to the client",
}
"""What happens before each mark."""
NEIGHBOURS: Final = 21
"""Requests around a quantile whose mean is its waterfall."""


@dataclass(frozen=True)
class Waterfall:
    """The mean stages of the requests around one quantile."""

    name: str
    latency_ms: float
    stages_ms: Mapping[str, float]
    """By the mark that ends the stage, in order; a mark that no answer had is left out."""


def stages_of(record: Records) -> dict[str, float]:
    """The stages of one request in ms, by the mark that ends each."""
    times = {name: int(record[_field(name)]) for name in MARKS}
    present = [(name, time_us) for name, time_us in times.items() if time_us > 0]
    return {end: (end_us - start_us) / 1000 for (_, start_us), (end, end_us) in pairwise(present)}


def waterfalls(good: Records, quantiles: Mapping[str, float]) -> list[Waterfall]:
    """The waterfall at each quantile of the latency from the intended time."""
    if not len(good):
        return []
    ordered = good[np.argsort(good["completed_us"] - good["intended_us"], kind="stable")]
    falls = []
    for name, q in quantiles.items():
        rank = min(len(ordered) - 1, max(0, int(np.ceil(q * len(ordered))) - 1))
        # No wider than what lies above the quantile, lest its maximum colour it.
        reach = min(NEIGHBOURS // 2, len(ordered) - 1 - rank, rank)
        around = ordered[rank - reach : rank + reach + 1]
        rows = [stages_of(record) for record in around]
        marks = [mark for mark in MARKS if any(mark in row for row in rows)]
        stages_ms = {mark: float(np.mean([row.get(mark, 0.0) for row in rows])) for mark in marks}
        latency_ms = (int(ordered[rank]["completed_us"]) - int(ordered[rank]["intended_us"])) / 1000
        falls.append(Waterfall(name, latency_ms, stages_ms))
    return falls


def _field(mark: str) -> str:
    return f"{mark}_us" if mark in ("intended", "ready", "sent", "completed") else mark
