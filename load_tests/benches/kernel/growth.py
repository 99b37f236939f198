"""`fraudsim bench growth`: the cost of a key as its history, its heat and its longest window grow."""

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
    KeyState,
    Words,
    fold_often,
    read_often,
)
from load_tests.rig.machine import machine
from load_tests.rig.turns import times_in_turns
from stream_features.catalogue.features import DAY, DISTINCT_CAP, FEATURES, HASH, LONGEST
from stream_features.kernels import state as states
from stream_features.kernels.state import KERNELS, NO_LABELS

PROTOCOL: Final = (
    "One key, its events at random times, a thousand counterparts. Heat: 10 to 100,000 events in 30 days. "
    "History: some days of events at a steady rate (merchant 1,000 a day, card 10). Window: 100,000 events "
    "in 30 days, and only the features of windows up to the stated one. Read: all features of the entity; "
    "fold: one newer event into the state. The rival keeps the key's events of the longest window, sorted by "
    "time, drops older ones, and recomputes count, sum, sum of squares, maximum and up to 64 distinct "
    "counterparts in one pass over the longest window, the shorter ones on the way. Both compiled, both "
    "called a thousand times in the process: no Redis, no network for either. The rival's fold is an append "
    "and is not measured. Processor time. Cases take turns; medians."
)
HEAT: Final = (10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)
DAYS: Final = (1, 3, 10, 30, 90, 365)
PER_DAY: Final = {"card": 10, "merchant": 1_000}
WIDTH_BYTES: Final = {"card": 40, "merchant": 24}
"""Of one event as the rival keeps it: time, amount, counterparts, and a card's location."""


@dataclass(frozen=True)
class SweepPoint:
    """One key of a sweep: its state, and the event list that the rival keeps."""

    sweep: str
    entity: str
    position: int
    """Events, days, or the longest window in ms."""
    window_ms: int
    key: KeyState
    rows: Words
    """Events that the rival keeps, by time, shape (n, width)."""


def rows_over(entity: str, events: int, span_ms: int) -> Words:
    """Events of one key up to `NOW`, by time, shape (events, width)."""
    rng = np.random.default_rng([SEED, events, span_ms // DAY])
    rows = np.empty((events, KERNELS[entity].width), np.int64)
    rows[:, 0] = NOW - np.sort(rng.integers(0, span_ms, events))[::-1]
    rows[-1, 0] = NOW
    rows[:, 1] = rng.integers(100, 100_000, events)
    rows[:, 2:] = rng.integers(1, 1_000, rows[:, 2:].shape)
    return rows


def _point(sweep: str, entity: str, position: int, rows: Words, window_ms: int = LONGEST) -> SweepPoint:
    state = states.fold(entity, states.empty(entity), rows, NO_LABELS, HORIZON_MS)
    kept = rows[rows[:, 0] >= NOW - LONGEST]
    return SweepPoint(
        sweep, entity, position, window_ms, KeyState(entity, len(rows), sweep, state, NOW), kept
    )


def sweep_points(heat: tuple[int, ...] = HEAT, days: tuple[int, ...] = DAYS) -> Iterator[SweepPoint]:
    """Every measured key."""
    for entity, per_day in PER_DAY.items():
        for events in heat:
            yield _point("heat", entity, events, rows_over(entity, events, LONGEST))
        for n in days:
            yield _point("history", entity, n, rows_over(entity, n * per_day, n * DAY))
        hottest = rows_over(entity, max(heat), LONGEST)
        for window_ms in windows_of(entity):
            yield _point("window", entity, window_ms, hottest, window_ms)


def windows_of(entity: str) -> list[int]:
    """The entity's windows, ms, ascending."""
    return sorted({f.window_ms for f in FEATURES if f.entity == entity})


@njit(cache=True)
def recompute(rows: Words, now: int, windows: Words, cap: int, out: Any) -> int:
    """Recompute each window from the events: count, sum, sum of squares, maximum, distinct counterparts.

    Args:
        windows: lengths in ms, ascending.
        out: filled, shape (windows, 5).
    """
    seen: set[int] = set()
    n, total, squares, largest = 0, 0, 0, 0
    index = np.searchsorted(rows[:, 0], now) - 1
    for w in range(windows.shape[0]):
        start = now - windows[w]
        while index >= 0 and rows[index, 0] >= start:
            amount = rows[index, 1]
            n += 1
            total += amount
            squares += amount * amount
            largest = max(largest, amount)
            if len(seen) < cap:
                seen.add(rows[index, 2])
            index -= 1
        out[w, 0], out[w, 1], out[w, 2], out[w, 3], out[w, 4] = n, total, squares, largest, len(seen)
    return n


@njit(cache=True)
def _recompute_often(rows: Words, now: int, windows: Words, cap: int, calls: int, out: Any) -> int:
    counted = 0
    for i in range(calls):
        counted += recompute(rows, now + (i & 1), windows, cap, out)
    return counted


def actions(point: SweepPoint) -> Iterator[tuple[str, Callable[[], object]]]:
    """The measured actions on a key by name; each does its work `CALLS` times."""
    key = point.key
    spec = states.specification(point.entity)
    spec = spec[spec[:, 1] <= point.window_ms]
    out = np.empty(int(spec[:, -1].max()) + 1, np.float32)
    windows = np.array([w for w in windows_of(point.entity) if w <= point.window_ms], np.int64)
    recomputed = np.empty((len(windows), 5), np.int64)
    newer = np.full((1, KERNELS[point.entity].width), 7, np.int64)
    newer[0, 0] = NOW + 1_000
    yield "read", lambda: read_often(key, spec, out)
    yield "fold", lambda: fold_often(key, newer)
    yield (
        "recompute",
        lambda: _recompute_often(point.rows, NOW, windows, DISTINCT_CAP, CALLS, recomputed),
    )


def bench_growth(
    heat: tuple[int, ...] = HEAT, days: tuple[int, ...] = DAYS, turns: int = 5
) -> dict[str, Any]:
    """The report, ready for JSON."""
    measurements = [
        (point, name, action) for point in sweep_points(heat, days) for name, action in actions(point)
    ]
    times_ns = [
        [seconds / CALLS * 1e9 for seconds in turn_times]
        for turn_times in times_in_turns([action for _, _, action in measurements], turns, time.process_time)
    ]
    results = [
        {
            "name": f"{point.entity} {name}",
            "value": round(statistics.median(turn_times)),
            "unit": "ns",
            "sweep": point.sweep,
            "entity": point.entity,
            "at": point.position,
            "bytes": _bytes(point, name),
            "turns": [round(ns) for ns in turn_times],
        }
        for turn_times, (point, name, _) in zip(times_ns, measurements, strict=True)
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


def _bytes(point: SweepPoint, name: str) -> int:
    """Bytes of the rival's event list, or of the state."""
    if name == "recompute":
        return point.rows.shape[0] * WIDTH_BYTES[point.entity]
    return point.key.state.nbytes


def series(results: list[dict[str, Any]], sweep: str, entity: str, name: str) -> list[dict[str, Any]]:
    """The results of one line of the plot, ascending."""
    line = [r for r in results if r["sweep"] == sweep and r["name"] == f"{entity} {name}"]
    return sorted(line, key=lambda r: r["at"])


def _at_hottest(results: list[dict[str, Any]], entity: str) -> float:
    rival, ours = (series(results, "heat", entity, name)[-1]["value"] for name in ("recompute", "read"))
    return round(rival / ours, 2)
