"""`fraudsim bench growth`: what a key costs as its history, its heat and its longest window grow."""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numba import njit

from load_tests.benches.kernel.one_key import (
    CALLS,
    HORIZON_MS,
    NOW,
    SEED,
    Case,
    Words,
    fold_often,
    read_often,
)
from load_tests.rig.machine import machine
from stream_features.catalogue.features import DAY, DISTINCT_CAP, FEATURES, HASH, LONGEST
from stream_features.kernels import state as states
from stream_features.kernels.state import KERNELS, NO_LABELS

PROTOCOL: Final = (
    "One key, its events at random times, a thousand counterparts. Heat: 10 to 100,000 events in 30 days. "
    "History: so many days of events at a steady rate (merchant 1,000 a day, card 10). Window: 100,000 "
    "events in 30 days, and only the features of windows up to the one named. Read: all features of the "
    "entity; fold: one newer event into the state. The rival keeps the key's events of the longest window, "
    "sorted by time, drops older ones, and recomputes count, sum, sum of squares, maximum and up to 64 "
    "distinct counterparts in one pass over the longest window, the shorter ones on the way. Both compiled, "
    "both called a thousand times in the process: no Redis, no network for either. The rival's fold is an "
    "append and is not measured. Processor time. Cases take turns; medians."
)
HEAT: Final = (10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)
DAYS: Final = (1, 3, 10, 30, 90, 365)
PER_DAY: Final = {"card": 10, "merchant": 1_000}
HOTTEST: Final = 100_000
WIDTH_BYTES: Final = {"card": 40, "merchant": 24}
"""Of one event as the rival keeps it: time, amount, counterparts, and a card's place."""


@dataclass(frozen=True)
class Growth:
    """One key: what the state and the event list hold of it."""

    sweep: str
    entity: str
    at: int
    """Events, days, or the longest window in ms."""
    window_ms: int
    case: Case
    rows: Words
    """What the rival keeps, by time, shape (n, width)."""


def rows_over(entity: str, events: int, span_ms: int) -> Words:
    """Events of one key up to `NOW`, by time, shape (events, width)."""
    rng = np.random.default_rng([SEED, events, span_ms // DAY])
    rows = np.empty((events, KERNELS[entity].width), np.int64)
    rows[:, 0] = NOW - np.sort(rng.integers(0, span_ms, events))[::-1]
    rows[-1, 0] = NOW
    rows[:, 1] = rng.integers(100, 100_000, events)
    rows[:, 2:] = rng.integers(1, 1_000, rows[:, 2:].shape)
    return rows


def _grown(sweep: str, entity: str, at: int, rows: Words, window_ms: int = LONGEST) -> Growth:
    state = states.fold(entity, states.empty(entity), rows, NO_LABELS, HORIZON_MS)
    kept = rows[rows[:, 0] >= NOW - LONGEST]
    return Growth(sweep, entity, at, window_ms, Case(entity, len(rows), sweep, state, NOW), kept)


def growths(heat: tuple[int, ...] = HEAT, days: tuple[int, ...] = DAYS) -> Iterator[Growth]:
    """Every key that is measured."""
    for entity, per_day in PER_DAY.items():
        for events in heat:
            yield _grown("heat", entity, events, rows_over(entity, events, LONGEST))
        for n in days:
            yield _grown("history", entity, n, rows_over(entity, n * per_day, n * DAY))
        hottest = rows_over(entity, max(heat), LONGEST)
        for window_ms in windows_of(entity):
            yield _grown("window", entity, window_ms, hottest, window_ms)


def windows_of(entity: str) -> list[int]:
    """The entity's windows, ms, ascending."""
    return sorted({f.window_ms for f in FEATURES if f.entity == entity})


@njit(cache=True)
def recompute(rows: Words, now: int, windows: Words, cap: int, out: Any) -> int:
    """Aggregates of each window, `windows` ascending, from the events themselves: shape (windows, 5)."""
    seen: set[int] = set()
    n, total, squares, largest = 0, 0, 0, 0
    at = np.searchsorted(rows[:, 0], now) - 1
    for w in range(windows.shape[0]):
        start = now - windows[w]
        while at >= 0 and rows[at, 0] >= start:
            amount = rows[at, 1]
            n += 1
            total += amount
            squares += amount * amount
            largest = max(largest, amount)
            if len(seen) < cap:
                seen.add(rows[at, 2])
            at -= 1
        out[w, 0], out[w, 1], out[w, 2], out[w, 3], out[w, 4] = n, total, squares, largest, len(seen)
    return n


@njit(cache=True)
def _recompute_often(rows: Words, now: int, windows: Words, cap: int, calls: int, out: Any) -> int:
    counted = 0
    for i in range(calls):
        counted += recompute(rows, now + (i & 1), windows, cap, out)
    return counted


def actions(growth: Growth) -> Iterator[tuple[str, Callable[[], object]]]:
    """What is measured of a key, each `CALLS` times over."""
    case = growth.case
    within = states.specification(growth.entity)
    within = within[within[:, 1] <= growth.window_ms]
    out = np.empty(int(within[:, -1].max()) + 1, np.float32)
    windows = np.array([w for w in windows_of(growth.entity) if w <= growth.window_ms], np.int64)
    found = np.empty((len(windows), 5), np.int64)
    newer = np.full((1, KERNELS[growth.entity].width), 7, np.int64)
    newer[0, 0] = NOW + 1_000
    yield "read", lambda: read_often(case, within, out)
    yield "fold", lambda: fold_often(case, newer)
    yield (
        "recompute",
        lambda: _recompute_often(growth.rows, NOW, windows, DISTINCT_CAP, CALLS, found),
    )


def bench_growth(
    heat: tuple[int, ...] = HEAT, days: tuple[int, ...] = DAYS, turns: int = 5
) -> dict[str, Any]:
    """The whole report, ready for JSON."""
    todo = [(g, name, action) for g in growths(heat, days) for name, action in actions(g)]
    for _, _, action in todo:
        action()  # compile, or load what is compiled
    measured: list[list[float]] = [[] for _ in todo]
    for _ in range(turns):
        for found, (_, _, action) in zip(measured, todo, strict=True):
            started = time.process_time()
            action()
            found.append((time.process_time() - started) / CALLS * 1e9)
    results = [
        {
            "name": f"{g.entity} {name}",
            "value": round(statistics.median(found)),
            "unit": "ns",
            "sweep": g.sweep,
            "entity": g.entity,
            "at": g.at,
            "bytes": g.rows.shape[0] * WIDTH_BYTES[g.entity] if name == "recompute" else g.case.state.nbytes,
            "turns": [round(each) for each in found],
        }
        for found, (g, name, _) in zip(measured, todo, strict=True)
    ]
    return {
        "machine": machine(("numba", "numpy")),
        "protocol": PROTOCOL,
        "configuration": {
            "heat": list(heat), "days": list(days), "per_day": PER_DAY, "turns": turns, "seed": SEED,
            "catalogue": HASH,
        },
        "results": results,
        "ratios": {f"{entity} recompute at the hottest": _at_hottest(results, entity) for entity in PER_DAY},
    }  # fmt: skip


def series(results: list[dict[str, Any]], sweep: str, entity: str, name: str) -> list[dict[str, Any]]:
    """The results of one line of the plot, ascending."""
    chosen = [r for r in results if r["sweep"] == sweep and r["name"] == f"{entity} {name}"]
    return sorted(chosen, key=lambda r: r["at"])


def _at_hottest(results: list[dict[str, Any]], entity: str) -> float:
    rival, ours = (series(results, "heat", entity, name)[-1]["value"] for name in ("recompute", "read"))
    return round(rival / ours, 2)
