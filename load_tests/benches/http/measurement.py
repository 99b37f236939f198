"""The load of `fraudsim bench http`: closed loop, open loop at one rate, bisection for the rate held."""

import os
import statistics
import time
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from fraudsim.addresses import open_direct
from load_tests.benches.http.contestants import FEATURES
from load_tests.benches.http.server import RunningServer
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


def measure(servers: list[RunningServer], seconds: float, turns: int) -> None:
    """Fill in the servers' figures; servers take turns within each kind of load."""
    for server in servers:
        server.generator.closed(server.make, server.reserve(WARM_UP_S * 50_000), CLOSED, WARM_UP_S)
    for _ in range(turns):
        for server in servers:
            load = server.generator.closed(server.make, server.reserve(seconds * 50_000), CLOSED, seconds)
            server.closed.append(load.per_second)
    for server in servers:
        server.rate = min(float(RATE), round(OWN_SHARE * statistics.median(server.closed)))
    for _ in range(turns):
        for server in servers:
            _open_turn(server, seconds)
    for server in servers:
        _bisect(server, seconds)


def _open_turn(server: RunningServer, seconds: float) -> None:
    """One turn at the fixed rate: latency, CPU, stages."""
    processes = process_tree(server.pid)
    bench_processes = [*processes, *process_tree(os.getpid())]
    stages_before, server_before, bench_before, machine_before = (
        _stage_totals(server), cpu_s(processes), cpu_s(bench_processes), machine_cpu_s()
    )  # fmt: skip
    started_s = time.perf_counter()
    load = server.generator.open(server.make, server.reserve(server.rate * seconds), server.rate, seconds)
    took_s = time.perf_counter() - started_s
    server.open.append(load)
    server.cpu_us.append((cpu_s(processes) - server_before) / max(1, load.answered) * 1e6)
    others_s = machine_cpu_s() - machine_before - (cpu_s(bench_processes) - bench_before)
    server.others.append(max(0.0, others_s) / took_s)
    for stage, (total_s, count) in _stage_totals(server).items():
        before_s, before_count = stages_before.get(stage, (0.0, 0.0))
        server.stages_us[stage] = (total_s - before_s) / max(1.0, count - before_count) * 1e6


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


def _bisect(server: RunningServer, seconds: float) -> None:
    """Bisect for the highest rate that is held."""
    low, high = 0.0, LADDER_TOP * statistics.median(server.closed)
    for probe in range(PROBES):
        rate = (low + high) / 2 if probe else high * OWN_SHARE / LADDER_TOP
        load = server.generator.open(server.make, server.reserve(rate * seconds), rate, seconds)
        held = load.complete and load.percentile_ms(99) < HELD_MS
        server.ladder.append(
            {"rate": round(rate), "held": held, "p99_ms": round(load.percentile_ms(99), 2),
             "unanswered": load.requests - load.answered}
        )  # fmt: skip
        low, high = (rate, high) if held else (low, rate)
        if not held:
            time.sleep(RECOVERY_S)  # for the requests that were given up
    server.held = low
