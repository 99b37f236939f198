"""`fraudsim bench kernel`: what folding and reading one key costs, against its history and its heat."""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numba import njit

from load_tests.rig.machine import machine
from stream_features.catalogue.features import (
    DAY,
    DISTINCT_CAP,
    EXACT,
    HASH,
    HOUR,
    LABEL_MEMORY,
    LABELS,
    LONGEST,
    MINUTE,
    RISK_PRIOR,
    RISK_WEIGHT,
    ROWS,
)
from stream_features.kernels import state as states
from stream_features.kernels.exact import fold_exact, read_exact
from stream_features.kernels.state import KERNELS, LABEL_REACH, LEVELS, NO_LABELS
from stream_features.kernels.tiled import fold_tiled, read_tiled

PROTOCOL: Final = (
    "One key's state holds as many events as named, at random times within the span that ends at its newest; "
    "a thousand counterparts. Read: all features of the entity as of the newest event. Append: a state with "
    "one row newer by a second. Late: with one row a minute behind the newest. Each is called a thousand "
    "times from compiled code, as the offline engine does; `call` is a read from Python, as the scorer does. "
    "The rival reads the same features by a scan of the state for each. Cases take turns; medians."
)
EVENTS: Final = (10, 100, 1_000, 10_000, 100_000)
SPANS: Final = {"30 d": LONGEST, "1 d": DAY, "1 h": HOUR}
ENTITIES: Final = ("card", "merchant")
TYPICAL: Final = (("card", 80), ("device", 80), ("merchant", 80), ("ip", 80))
"""Entities and events, spread over 30 days."""
HORIZON_MS: Final = 2 * MINUTE
CALLS: Final = 1_000
SEED: Final = 7
NOW: Final = 1_700_000_000_000

Words = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Case:
    """One key's state, and what is folded into it or read from it."""

    entity: str
    events: int
    span: str
    state: Words
    newest: int


def make_case(entity: str, events: int, span: str, horizon_ms: int = HORIZON_MS) -> Case:
    """A key with so many events within the span before `NOW`, its newest."""
    rng = np.random.default_rng([SEED, events, SPANS[span]])
    rows = np.empty((events, KERNELS[entity].width), np.int64)
    rows[:, 0] = NOW - np.sort(rng.integers(0, SPANS[span], events))[::-1]
    rows[-1, 0] = NOW
    rows[:, 1] = rng.integers(100, 100_000, events)
    rows[:, 2:4] = rng.integers(1, 1_000, rows[:, 2:4].shape)
    if entity in EXACT:
        rows[:, 4] = rng.integers(0, 1 << 50, events)
    return Case(
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


def read_often(case: Case, spec: Words, out: npt.NDArray[np.float32]) -> None:
    """All features of `spec`, `CALLS` times."""
    if case.entity in EXACT:
        _read_exact_often(case.state, spec, case.newest, HORIZON_MS, DISTINCT_CAP, CALLS, out)
    else:
        _read_tiled_often(
            case.state, spec, case.newest, HORIZON_MS, DISTINCT_CAP, LABEL_MEMORY, RISK_PRIOR, RISK_WEIGHT,
            CALLS, out,
        )  # fmt: skip


def fold_often(case: Case, row: Words) -> None:
    """A new state with one row more, `CALLS` times."""
    if case.entity in EXACT:
        _fold_exact_often(case.state, row, HORIZON_MS + LONGEST, ROWS, CALLS)
    else:
        _fold_tiled_often(
            case.state, row, NO_LABELS, LEVELS, HORIZON_MS, DISTINCT_CAP, LABEL_REACH, LABELS, CALLS
        )


def actions(case: Case) -> Iterator[tuple[str, Callable[[], None]]]:
    """What is measured of a case, each `CALLS` times over."""
    kernel, spec = KERNELS[case.entity], states.specification(case.entity)
    out = np.empty(int(spec[:, -1].max()) + 1, np.float32)
    row = np.full((1, kernel.width), 7, np.int64)
    appended, late = row.copy(), row.copy()
    appended[0, 0], late[0, 0] = case.newest + 1_000, case.newest - MINUTE
    at_hand = (case.newest, *row[0, 1:].tolist())

    def read_one_by_one() -> None:
        for f in range(len(spec)):
            read_often(case, spec[f : f + 1], out)

    def call() -> None:
        for _ in range(CALLS):
            kernel.read(case.state, at_hand, HORIZON_MS, out)

    yield "read", lambda: read_often(case, spec, out)
    yield "scan per feature", read_one_by_one
    yield "call", call
    yield "append", lambda: fold_often(case, appended)
    yield "late", lambda: fold_often(case, late)


def bench_kernel(events: tuple[int, ...] = EVENTS, turns: int = 5) -> dict[str, Any]:
    """The whole report, ready for JSON."""
    cases = [make_case(entity, n, "30 d") for entity, n in TYPICAL]
    cases += [make_case(entity, n, span) for entity in ENTITIES for span in SPANS for n in events]
    todo = [(case, name, action) for case in cases for name, action in actions(case)]
    for _, _, action in todo:
        action()  # compile, or load what is compiled
    measured: list[list[float]] = [[] for _ in todo]
    for _ in range(turns):
        for found, (_, _, action) in zip(measured, todo, strict=True):
            started = time.perf_counter()
            action()
            found.append((time.perf_counter() - started) / CALLS * 1e6)
    results = [
        {
            "name": f"{case.entity} {name}",
            "value": round(statistics.median(found), 3),
            "unit": "µs",
            "entity": case.entity,
            "events": case.events,
            "span": case.span,
            "state_bytes": case.state.nbytes,
            "turns": [round(each, 3) for each in found],
        }
        for found, (case, name, _) in zip(measured, todo, strict=True)
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
    """The figure of an entity's typical key."""
    return float(next(found["value"] for found in results if found["name"] == f"{entity} {name}"))
