"""`fraudsim bench world`: transactions a second to Parquet, ours and the Handbook's algorithm, in turns."""

import multiprocessing
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from fraudsim import __version__
from load_tests.handbook_algorithm import simulate
from producers.history import write_history
from producers.world import WORLD_VERSION, World, WorldConfig

PROTOCOL: Final = (
    "Each turn is a fresh process on one core (where the system can pin) that makes as many cards and days, "
    "profiles included, and writes them to Parquet (zstd); start and imports are not counted. Ours adds "
    "its fraud typologies, late labels, what is fraud apart, and a fingerprint. The rival is the Fraud "
    "Detection Handbook's published algorithm written anew with lists and numpy in place of pandas, "
    "with twice as many terminals as customers, radius 5. Turns alternate; medians."
)
SEED: Final = 7


def bench_world(cards: int, days: int, turns: int) -> dict[str, Any]:
    """The whole report, ready for JSON."""
    contestants: dict[str, Callable[[int, int], tuple[int, float]]] = {
        "fraudsim": run_world,
        "handbook": run_handbook,
    }
    measured: dict[str, list[tuple[int, float]]] = {name: [] for name in contestants}
    context = multiprocessing.get_context("spawn")
    for _ in range(turns):
        for name, run in contestants.items():
            with context.Pool(1, initializer=_pin) as pool:
                measured[name].append(pool.apply(run, (cards, days)))
    results: list[dict[str, Any]] = []
    for name, each in measured.items():
        rates = [rows / seconds for rows, seconds in each]
        results.append(
            {
                "name": name,
                "value": round(statistics.median(rates)),
                "unit": "tx/s",
                "tx_per_second": round(statistics.median(rates)),
                "rows": each[0][0],
                "seconds": round(statistics.median(seconds for _, seconds in each), 4),
                "turns": [round(rate) for rate in rates],
            }
        )
    return {
        "machine": machine(),
        "protocol": PROTOCOL,
        "configuration": {"cards": cards, "days": days, "turns": turns, "seed": SEED},
        "results": results,
        "ratios": {"handbook": round(results[0]["value"] / results[1]["value"], 2)},
    }


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "cpu": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "versions": {
            "fraudsim": __version__,
            "world": WORLD_VERSION,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "pyarrow": pa.__version__,
        },
    }


def run_world(cards: int, days: int) -> tuple[int, float]:
    """Rows and seconds of our generator."""
    with tempfile.TemporaryDirectory() as directory:
        started = time.perf_counter()
        manifest = write_history(Path(directory), World(WorldConfig(cards=cards, seed=SEED)), days)
        return manifest.transactions, time.perf_counter() - started


def run_handbook(customers: int, days: int) -> tuple[int, float]:
    """Rows and seconds of the Handbook's algorithm."""
    with tempfile.TemporaryDirectory() as directory:
        started = time.perf_counter()
        made = simulate(customers, days, SEED)
        table = pa.table(
            {
                "TRANSACTION_ID": np.arange(len(made)),
                "TX_DATETIME": (made.time_s * 1000).astype("datetime64[ms]"),
                "CUSTOMER_ID": made.customer,
                "TERMINAL_ID": made.terminal,
                "TX_AMOUNT": made.amount,
                "TX_FRAUD": made.scenario > 0,
                "TX_FRAUD_SCENARIO": made.scenario,
            }
        )
        pq.write_table(table, Path(directory) / "handbook.parquet", compression="zstd")
        return len(made), time.perf_counter() - started


def _pin() -> None:
    """Keep this process on one core, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
