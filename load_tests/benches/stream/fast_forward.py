"""`fraudsim bench simulator`: decisions a second of the fast-forward beside the live scorer's, in one run."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from fraudsim.errors import FraudsimError
from load_tests.benches.stream.contestants import OURS
from load_tests.benches.stream.scoring_rig import DAYS, DEADLINE_MS, SEED, WINDOW, ScoringFigures, ScoringRig
from load_tests.rig.cores import pinned, two_cores
from load_tests.rig.machine import machine
from runner.supervise.supervisor import Supervisor

LIVE: Final = "live scorer"
MODES: Final = {
    "without vectors": ("--no-vectors",),
    "everything written": (),
    "reacting, without vectors": ("--no-vectors", "--reacting"),
}
"""Of `fraudsim simulate`: its options by name."""
PROTOCOL: Final = (
    "One world of {cards:,} cards with {history} days of history, and one model trained on it. The live "
    "scorer reads the world's next transactions from Kafka, {window:,} in flight at most, and writes its "
    "decisions to Kafka, as in `bench stream` (deadline {deadline:,} ms). The fast-forward decides the "
    "{days} days that follow the history and writes a run's archive: without vectors, log prefixes and "
    "reasons; with everything; without vectors while campaigns react. They take turns, {pinning}. Seconds "
    "are those from the first decision to the last; starting, reading the history and compiling are left "
    "out, for the live scorer as well. CPU is that of the scorer's process (Kafka, Redis and the worker "
    "beside it come on top), and of the fast-forward's only process."
)


def bench_simulator(
    events: int, days: int, turns: int, say: Callable[[str], None] = lambda _: None, *, cards: int = 5_000
) -> dict[str, Any]:
    """The report, ready for JSON, measured on a stack of its own.

    Args:
        events: transactions of the live scorer, each turn.
        days: days of event time that the fast-forward decides, each turn.

    Raises:
        FraudsimError: a part does not start, stops answering, or ends with an error.
        InvariantError: the live scorer left a transaction without exactly one decision.
    """
    cores = two_cores()
    live = ScoringFigures()
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in MODES}
    with (
        tempfile.TemporaryDirectory() as name,
        Supervisor(Path(name) / "logs") as supervisor,
        pinned(cores.driver),
    ):
        folder = Path(name)
        rig = ScoringRig(folder, supervisor, cores, cards)
        for _ in range(turns):
            rig.run(OURS, events, live)
            say(f"{LIVE}: {live.per_second[-1]:,.0f} a second")
            for mode, options in MODES.items():
                with pinned(cores.server):
                    runs[mode].append(_simulate(folder, days, options))
                say(f"{mode}: {runs[mode][-1]['decisions_per_second']:,.0f} a second")
    results = [
        _result(LIVE, events, live.per_second, live.cpu_us),
        *(
            _result(
                mode,
                summaries[0]["decided"],
                [summary["decisions_per_second"] for summary in summaries],
                [1e6 / summary["decisions_per_cpu_second"] for summary in summaries],
            )
            for mode, summaries in runs.items()
        ),
    ]
    first = results[0]
    return {
        "machine": machine(("xgboost", "numba")),
        "protocol": PROTOCOL.format(
            cards=cards,
            history=DAYS,
            window=WINDOW,
            deadline=DEADLINE_MS,
            days=days,
            pinning=cores.description,
        ),
        "configuration": {"events": events, "days": days, "turns": turns, "seed": SEED},
        "results": results,
        "ratios": {item["name"]: round(item["value"] / first["value"], 2) for item in results[1:]},
        "cpu_ratios": {item["name"]: round(first["cpu_us"] / item["cpu_us"], 2) for item in results[1:]},
    }


def _simulate(folder: Path, days: int, options: tuple[str, ...]) -> dict[str, Any]:
    """The summary of a run that is removed afterwards."""
    out = folder / "simulated"
    argv = [
        sys.executable, "-m", "fraudsim", "simulate", "--history", str(folder / "history"), "--model",
        str(folder / "model"), "--days", str(days), "--out", str(out), *options,
    ]  # fmt: skip
    ended = subprocess.run(
        argv, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or [""])[-1]
        raise FraudsimError(f"bench simulator: simulate ended with {ended.returncode}: {last}")
    summary: dict[str, Any] = json.loads((out / "summary.json").read_bytes())
    shutil.rmtree(out)
    return summary


def _result(name: str, decisions: int, per_second: list[float], cpu_us: list[float]) -> dict[str, Any]:
    """Medians over the turns."""
    cpu = statistics.median(cpu_us)
    return {
        "name": name,
        "value": round(statistics.median(per_second)),
        "unit": "decisions/s",
        "decisions": decisions,
        "cpu_us": round(cpu, 1),
        "per_core": round(1e6 / cpu),
        "turns": [round(value) for value in per_second],
    }
