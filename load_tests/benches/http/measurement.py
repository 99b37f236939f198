"""The load of `fraudsim bench http`: closed loop, open loop at one rate, bisection for the rate held."""

import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from prometheus_client.parser import text_string_to_metric_families

from fraudsim.addresses import open_direct
from load_tests.benches.http.contestants import FEATURES
from load_tests.benches.http.server import RunningServer
from load_tests.rig.open_loop import Load
from load_tests.rig.process_tree import cpu_s, machine_cpu_s, process_tree

HELD_MS: Final = 50.0
"""A rate is held while p99 stays under this."""
CLOSED: Final = 32
"""Connections of the closed loop."""
RATE: Final = 1_000
"""Requests a second of the open loop."""
OWN_SHARE: Final = 0.7
"""Share of its closed-loop rate that a server gets which cannot answer `RATE` a second."""
PROBES: Final = 5
"""Steps of the bisection."""
LADDER_TOP: Final = 1.2
"""Upper end of the bisection, as a multiple of the closed-loop rate."""
WARM_UP_S: Final = 1.0
RECOVERY_S: Final = 1.0
STAGE_METRIC: Final = "fraudsim_stage_latency_seconds"

T = TypeVar("T")


@dataclass(frozen=True)
class OpenTurn:
    """One turn of the open loop."""

    load: Load
    cpu_us: float
    """CPU of the server per request."""
    others: float
    """Cores that the rest of the machine used."""
    stages_us: dict[str, float]
    """Mean time of each stage of our scorer; empty for others."""


@dataclass(frozen=True)
class ServerFigures:
    """What was measured of a server."""

    server: RunningServer
    closed: list[float]
    """Answers a second of each closed-loop turn."""
    rate: float
    """Requests a second of the open loop."""
    turns: list[OpenTurn]
    ladder: list[dict[str, Any]]
    """Steps of the bisection."""
    held: float
    """The highest rate held, requests a second."""


def measure(servers: Sequence[RunningServer], seconds: float, turns: int) -> list[ServerFigures]:
    """The servers' figures; servers take turns within each kind of load."""
    for server in servers:
        _closed_turn(server, WARM_UP_S)
    closed = _in_turns(servers, turns, lambda index: _closed_turn(servers[index], seconds))
    rates = [min(float(RATE), round(OWN_SHARE * statistics.median(per_second))) for per_second in closed]
    opened = _in_turns(servers, turns, lambda index: _open_turn(servers[index], rates[index], seconds))
    figures = []
    for index, server in enumerate(servers):
        held, ladder = _bisect(server, statistics.median(closed[index]), seconds)
        figures.append(ServerFigures(server, closed[index], rates[index], opened[index], ladder, held))
    return figures


def _in_turns(servers: Sequence[RunningServer], turns: int, turn: Callable[[int], T]) -> list[list[T]]:
    """What each server's turns gave; `turn` takes the server's index."""
    outcomes: list[list[T]] = [[] for _ in servers]
    for _ in range(turns):
        for index, of_server in enumerate(outcomes):
            of_server.append(turn(index))
    return outcomes


def _closed_turn(server: RunningServer, seconds: float) -> float:
    """Answers a second of one turn of the closed loop."""
    first = server.numbers.reserve(seconds * 50_000)
    return server.generator.closed(server.make, first, CLOSED, seconds).per_second


def _open_turn(server: RunningServer, rate: float, seconds: float) -> OpenTurn:
    """One turn at a fixed rate: latency, CPU, stages."""
    processes = process_tree(server.pid)
    bench_processes = [*processes, *process_tree(os.getpid())]
    stages_before, server_before, bench_before, machine_before = (
        _stage_totals(server), cpu_s(processes), cpu_s(bench_processes), machine_cpu_s()
    )  # fmt: skip
    started_s = time.perf_counter()
    load = server.generator.open(server.make, server.numbers.reserve(rate * seconds), rate, seconds)
    took_s = time.perf_counter() - started_s
    cpu_us = (cpu_s(processes) - server_before) / max(1, load.answered) * 1e6
    others_s = machine_cpu_s() - machine_before - (cpu_s(bench_processes) - bench_before)
    stages_us = {}
    for stage, (total_s, count) in _stage_totals(server).items():
        before_s, before_count = stages_before.get(stage, (0.0, 0.0))
        stages_us[stage] = (total_s - before_s) / max(1.0, count - before_count) * 1e6
    return OpenTurn(load, cpu_us, max(0.0, others_s) / took_s, stages_us)


def _stage_totals(server: RunningServer) -> dict[str, tuple[float, float]]:
    """Seconds and decisions so far by stage, from the metrics of our scorer; empty for others."""
    if server.contestant.name != "fraudsim" or server.contestant.table != FEATURES:
        return {}
    with open_direct(f"http://127.0.0.1:{server.setup.metrics_port}/metrics", timeout_s=10) as reply:
        text = reply.read().decode()
    totals: dict[str, tuple[float, float]] = {}
    for family in text_string_to_metric_families(text):
        if family.name == STAGE_METRIC:
            for sample in family.samples:
                seconds, count = totals.get(sample.labels["stage"], (0.0, 0.0))
                if sample.name.endswith("_sum"):
                    totals[sample.labels["stage"]] = (sample.value, count)
                elif sample.name.endswith("_count"):
                    totals[sample.labels["stage"]] = (seconds, sample.value)
    return totals


def _bisect(
    server: RunningServer, closed_per_second: float, seconds: float
) -> tuple[float, list[dict[str, Any]]]:
    """Bisect for the highest rate that is held. Returns it and the steps."""
    low, high = 0.0, LADDER_TOP * closed_per_second
    ladder = []
    for probe in range(PROBES):
        rate = (low + high) / 2 if probe else high * OWN_SHARE / LADDER_TOP
        load = server.generator.open(server.make, server.numbers.reserve(rate * seconds), rate, seconds)
        held = load.complete and load.percentile_ms(99) < HELD_MS
        ladder.append(
            {"rate": round(rate), "held": held, "p99_ms": round(load.percentile_ms(99), 2),
             "unanswered": load.requests - load.answered}
        )  # fmt: skip
        low, high = (rate, high) if held else (low, rate)
        if not held:
            time.sleep(RECOVERY_S)  # for the requests that were given up
    return low, ladder
