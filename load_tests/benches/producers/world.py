"""`fraudsim bench world`: transactions a second to Parquet, our generator and the Handbook's algorithm."""

import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from load_tests.benches.producers.handbook_algorithm import simulate
from load_tests.rig.machine import machine
from producers.history.writer import write_history
from producers.world.config import WorldConfig
from producers.world.world import WORLD_VERSION, World

PROTOCOL: Final = (
    "Each turn is a fresh process on one core (where the system can pin) that generates the cards and days, "
    "profiles included, and writes them to Parquet (zstd); start and imports are not counted. Ours adds its "
    "fraud typologies, late labels, the truth in a separate file, and a fingerprint. The rival is the Fraud "
    "Detection Handbook's published algorithm, reimplemented with lists and numpy in place of pandas, with "
    "twice as many terminals as customers, radius 5. With several workers, ours is also run as `world "
    "generate --workers` does, on any core; the start of its workers counts. Turns alternate; medians."
)
SEED: Final = 7

Run = Callable[[int, int], tuple[int, float]]
"""From cards and days to rows and seconds; one contestant's turn."""


def bench_world(cards: int, days: int, turns: int, workers: int = 1) -> dict[str, Any]:
    """The report, ready for JSON; with several workers, theirs is the last result."""
    contestants: dict[str, tuple[Run, Callable[[], None] | None]] = {
        "fraudsim": (run_world, _pin),
        "handbook": (run_handbook, _pin),
    }
    if workers > 1:
        contestants[f"fraudsim, {workers} workers"] = (partial(run_world, workers=workers), None)
    figures: dict[str, list[tuple[int, float]]] = {name: [] for name in contestants}
    context = multiprocessing.get_context("spawn")
    for _ in range(turns):
        for name, (run, prepare) in contestants.items():
            # A process of a `multiprocessing.Pool` cannot start workers.
            with ProcessPoolExecutor(1, context, initializer=prepare) as pool:
                figures[name].append(pool.submit(run, cards, days).result())
    results: list[dict[str, Any]] = []
    for name, turn_figures in figures.items():
        rates = [rows / seconds for rows, seconds in turn_figures]
        results.append(
            {
                "name": name,
                "value": round(statistics.median(rates)),
                "unit": "tx/s",
                "rows": turn_figures[0][0],
                "seconds": round(statistics.median(seconds for _, seconds in turn_figures), 4),
                "turns": [round(rate) for rate in rates],
            }
        )
    ratios = {"handbook": round(results[0]["value"] / results[1]["value"], 2)}
    if workers > 1:
        ratios["one_worker"] = round(results[2]["value"] / results[0]["value"], 2)
    return {
        "machine": machine(("numpy", "pyarrow"), world=WORLD_VERSION),
        "protocol": PROTOCOL,
        "configuration": {"cards": cards, "days": days, "turns": turns, "workers": workers, "seed": SEED},
        "results": results,
        "ratios": ratios,
    }


def run_world(cards: int, days: int, workers: int = 1) -> tuple[int, float]:
    """Rows and seconds of our generator."""
    with tempfile.TemporaryDirectory() as directory:
        started = time.perf_counter()
        world = World(WorldConfig(cards=cards, seed=SEED))
        manifest = write_history(Path(directory), world, days, workers=workers)
        return manifest.transactions, time.perf_counter() - started


def run_handbook(customers: int, days: int) -> tuple[int, float]:
    """Rows and seconds of the Handbook's algorithm."""
    with tempfile.TemporaryDirectory() as directory:
        started = time.perf_counter()
        simulated = simulate(customers, days, SEED)
        table = pa.table(
            {
                "TRANSACTION_ID": np.arange(len(simulated)),
                "TX_DATETIME": (simulated.time_s * 1000).astype("datetime64[ms]"),
                "CUSTOMER_ID": simulated.customer,
                "TERMINAL_ID": simulated.terminal,
                "TX_AMOUNT": simulated.amount,
                "TX_FRAUD": simulated.scenario > 0,
                "TX_FRAUD_SCENARIO": simulated.scenario,
            }
        )
        pq.write_table(table, Path(directory) / "handbook.parquet", compression="zstd")
        return len(simulated), time.perf_counter() - started


def _pin() -> None:
    """Keep this process on one core, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
