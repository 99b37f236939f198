"""`fraudsim bench kernel`: the cost of folding and reading one key, by its number and span of events."""

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numba import njit

from fraudsim.arrays import Floats, Ints
from load_tests.rig.machine import machine
from load_tests.rig.turns import times_in_turns
from stream_features.catalogue.features import (
    DAY,
    DISTINCT_CAP,
    EXACT,
    HASH,
    HOUR,
    LABEL_MEMORY,
    LONGEST,
    MAX_LABELS,
    MAX_ROWS,
    MINUTE,
    RISK_PRIOR,
    RISK_WEIGHT,
)
from stream_features.kernels import state as states
from stream_features.kernels.exact import fold_exact, read_exact
from stream_features.kernels.state import KERNELS, LABEL_REACH, LEVELS, NO_LABELS
from stream_features.kernels.tiled import fold_tiled, read_tiled

PROTOCOL: Final = (
    "One key's state holds the stated number of events, at random times within the span up to its newest; a "
    "thousand counterparts. Read: all features of the entity as of the newest event. Append: a state with "
    "one row newer by a second. Late: with one row a minute behind the newest. Each is called a thousand "
    "times from compiled code, as the offline engine does; `call` is a read from Python, as the scorer does. "
    "The rival reads the same features by a scan of the state for each. Cases take turns; medians."
)
EVENTS: Final = (10, 100, 1_000, 10_000, 100_000)
SPANS: Final = {"30 d": LONGEST, "1 d": DAY, "1 h": HOUR}
ENTITIES: Final = ("card", "merchant")
TYPICAL: Final = (("card", 80), ("device", 80), ("merchant", 80), ("ip", 80))
"""Entities and numbers of events, spread over 30 days."""
HORIZON_MS: Final = 2 * MINUTE
CALLS: Final = 1_000
SEED: Final = 7
NOW: Final = 1_700_000_000_000

Words = Ints


@dataclass(frozen=True)
class KeyState:
    """One key's state, and the events it was folded from."""

    entity: str
    events: int
    span: str
    state: Words
    newest: int


def make_key(entity: str, events: int, span: str, horizon_ms: int = HORIZON_MS) -> KeyState:
    """A key with `events` events within the span that ends at `NOW`, its newest event."""
    rng = np.random.default_rng([SEED, events, SPANS[span]])
    rows = np.empty((events, KERNELS[entity].width), np.int64)
    rows[:, 0] = NOW - np.sort(rng.integers(0, SPANS[span], events))[::-1]
    rows[-1, 0] = NOW
    rows[:, 1] = rng.integers(100, 100_000, events)
    rows[:, 2:4] = rng.integers(1, 1_000, rows[:, 2:4].shape)
    if entity in EXACT:
        rows[:, 4] = rng.integers(0, 1 << 50, events)
    return KeyState(
        entity, events, span, states.fold(entity, states.empty(entity), rows, NO_LABELS, horizon_ms), NOW
    )


@njit(cache=True)
def _read_exact_often(
    state: Words, spec: Words, now: int, horizon_ms: int, cap: int, calls: int, out: Any
) -> None:
    for i in range(calls):
        read_exact(state, spec, horizon_ms, now, 1_000 + i, 5, 6, 1 << 40, cap, out)


@njit(cache=True)
def _read_tiled_often(
    state: Words, spec: Words, now: int, horizon_ms: int, cap: int, memory_ms: int,
    prior: float, weight: float, calls: int, out: Any,
) -> None:  # fmt: skip
    for i in range(calls):
        read_tiled(state, spec, horizon_ms, now, 1_000 + i, 5, cap, memory_ms, prior, weight, out)


@njit(cache=True)
def _fold_exact_often(state: Words, row: Words, memory_ms: int, bound: int, calls: int) -> int:
    size = 0
    for _ in range(calls):
        size += fold_exact(state, row, memory_ms, bound).shape[0]
    return size


@njit(cache=True)
def _fold_tiled_often(
    state: Words, row: Words, labels: Words, levels: Words, horizon_ms: int, cap: int, reach_ms: int,
    bound: int, calls: int,
) -> int:  # fmt: skip
    size = 0
    for _ in range(calls):
        size += fold_tiled(state, row, labels, levels, horizon_ms, cap, reach_ms, bound).shape[0]
    return size


def read_often(key: KeyState, spec: Words, out: Floats) -> None:
    """Read all features of `spec`, `CALLS` times."""
    if key.entity in EXACT:
        _read_exact_often(key.state, spec, key.newest, HORIZON_MS, DISTINCT_CAP, CALLS, out)
    else:
        _read_tiled_often(
            key.state, spec, key.newest, HORIZON_MS, DISTINCT_CAP, LABEL_MEMORY, RISK_PRIOR, RISK_WEIGHT,
            CALLS, out,
        )  # fmt: skip


def fold_often(key: KeyState, row: Words) -> None:
    """Fold one row into the state, `CALLS` times."""
    if key.entity in EXACT:
        _fold_exact_often(key.state, row, HORIZON_MS + LONGEST, MAX_ROWS, CALLS)
    else:
        _fold_tiled_often(
            key.state, row, NO_LABELS, LEVELS, HORIZON_MS, DISTINCT_CAP, LABEL_REACH, MAX_LABELS, CALLS
        )


def actions(key: KeyState) -> Iterator[tuple[str, Callable[[], None]]]:
    """The measured actions on a key by name; each does its work `CALLS` times."""
    kernel, spec = KERNELS[key.entity], states.specification(key.entity)
    out = np.empty(int(spec[:, -1].max()) + 1, np.float32)
    row = np.full((1, kernel.width), 7, np.int64)
    appended, late = row.copy(), row.copy()
    appended[0, 0], late[0, 0] = key.newest + 1_000, key.newest - MINUTE
    at_hand = (key.newest, *row[0, 1:].tolist())

    def read_one_by_one() -> None:
        for feature in range(len(spec)):
            read_often(key, spec[feature : feature + 1], out)

    def call() -> None:
        for _ in range(CALLS):
            kernel.read(key.state, at_hand, HORIZON_MS, out)

    yield "read", lambda: read_often(key, spec, out)
    yield "scan per feature", read_one_by_one
    yield "call", call
    yield "append", lambda: fold_often(key, appended)
    yield "late", lambda: fold_often(key, late)


def bench_kernel(events: tuple[int, ...] = EVENTS, turns: int = 5) -> dict[str, Any]:
    """The report, ready for JSON."""
    keys = [make_key(entity, n, "30 d") for entity, n in TYPICAL]
    keys += [make_key(entity, n, span) for entity in ENTITIES for span in SPANS for n in events]
    measurements = [(key, name, action) for key in keys for name, action in actions(key)]
    times_us = [
        [seconds / CALLS * 1e6 for seconds in turn_times]
        for turn_times in times_in_turns([action for _, _, action in measurements], turns)
    ]
    results = [
        {
            "name": f"{key.entity} {name}",
            "value": round(statistics.median(turn_times), 3),
            "unit": "µs",
            "entity": key.entity,
            "events": key.events,
            "span": key.span,
            "state_bytes": key.state.nbytes,
            "turns": [round(us, 3) for us in turn_times],
        }
        for turn_times, (key, name, _) in zip(times_us, measurements, strict=True)
    ]
    return {
        "machine": machine(("numba", "numpy")),
        "protocol": PROTOCOL,
        "configuration": {"events": list(events), "turns": turns, "seed": SEED, "catalogue": HASH},
        "results": results,
        "ratios": {
            f"{entity} scan per feature": round(
                value_of(results, entity, "scan per feature") / value_of(results, entity, "read"), 2
            )
            for entity, _ in TYPICAL
        },
    }


def value_of(results: list[dict[str, Any]], entity: str, name: str) -> float:
    """The figure `name` of an entity's typical key."""
    return float(next(result["value"] for result in results if result["name"] == f"{entity} {name}"))
