"""`fraudsim bench http`: our HTTP path beside other servers, each on one core, under open-loop load."""

import os
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from hdrh.histogram import HdrHistogram

from fraudsim.errors import FraudsimError
from fraudsim.polling import poll_until
from fraudsim.settings import Settings
from load_tests.benches.http.contestants import CONTESTANTS, FEATURES, MODEL, NAMES, HttpContestant, present
from load_tests.benches.http.measurement import (
    CLOSED,
    HELD_MS,
    OWN_SHARE,
    RATE,
    ServerFigures,
    measure,
)
from load_tests.benches.http.requests import BenchWorld, make_world, requests_of
from load_tests.benches.http.server import (
    CHECKED,
    CONNECTIONS,
    READY_S,
    TOLERANCE,
    RunningServer,
    check_scores,
    features_of,
    start_server,
)
from load_tests.rig.cores import Cores, pinned, two_cores
from load_tests.rig.machine import machine
from load_tests.rig.open_loop import DIGITS, LONGEST_US
from load_tests.rivals.scoring_setup import RivalSetup, open_booster
from runner.stack.ports import free_port
from runner.stack.redis_server import RedisServer, find_redis, redis_answers
from runner.supervise.supervisor import Supervisor

PROTOCOL: Final = (
    "Every server is one process (BentoML: and its supervisor) that answers the same requests about the same "
    "XGBoost model, {pinning}. Features: a transaction in, its state read from Redis by one MGET and turned "
    "into features by the same library (ours), a score out; fraudsim runs its whole HTTP path (checks, claim "
    "and reply kept in Redis for repeats, rules and policy, the decision's record encoded for the log), "
    "except the log, which acknowledges at once: no server publishes anything. Model: a feature vector in, a "
    "score out; fraudsim's is its compiled trees behind the same Starlette as the rival's. Before anything "
    "is timed, {checked} answers of each must be the model's own scores to {tolerance:g}; a degraded answer "
    "of ours counts as none. Servers take turns: closed loop with {closed} connections, then an open loop at "
    "{rate:,}/s (or {share:.0%} of its closed loop, where that is less), latency from the intended send time "
    "in an HDR histogram over all turns. `value` is the highest rate of a bisection in which every request "
    "got its answer and p99 stayed under {held:g} ms. CPU is of the server's processes; `others_core_share` "
    "is what the rest of the machine used meanwhile: where that is much, compare CPU, not latency."
)


def bench_http(
    only: Sequence[str] = (),
    seconds: float = 2.0,
    turns: int = 3,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """The report, ready for JSON.

    Args:
        seconds: length of each period of load.
        say: called with a line about each server.

    Raises:
        FraudsimError: a server does not start or does not answer.
        InvariantError: an answer differs from the model's score.
    """
    for name in only:
        if name not in NAMES:
            raise FraudsimError(f"bench: --only {name}: there are {', '.join(NAMES)}")
    selected, missing = present([c for c in CONTESTANTS if not only or c.name in only])
    for line in missing:
        say(line)
    cores = two_cores()
    results = []
    with tempfile.TemporaryDirectory() as name, Supervisor(Path(name) / "logs") as supervisor:
        folder = Path(name)
        with pinned(cores.driver):
            redis_url = _start_redis(folder, supervisor)
        world = make_world(folder, redis_url)
        model_file = folder / "model.ubj"
        model_file.write_bytes(world.model.ubj)
        for table in (FEATURES, MODEL):
            contestants = [contestant for contestant in selected if contestant.table == table]
            with _servers(contestants, folder, world, redis_url, cores, supervisor) as servers:
                with pinned(cores.driver):
                    measured = measure(servers, seconds, turns)
                for figures in measured:
                    results.append(_result(figures))
                    say(_summary_line(results[-1]))
    return {
        "machine": machine(("xgboost", "starlette", "uvicorn", "redis", "hdrhistogram")),
        "protocol": PROTOCOL.format(
            pinning=cores.description, checked=CHECKED, tolerance=TOLERANCE, closed=CLOSED, rate=RATE,
            share=OWN_SHARE, held=HELD_MS,
        ),
        "configuration": {
            "model": world.model.version, "seconds": seconds, "turns": turns, "connections": CONNECTIONS,
            "left_out": missing,
        },
        "results": results,
        "ratios": {
            table: _ratios([r for r in results if r["table"] == table]) for table in (FEATURES, MODEL)
        },
    }  # fmt: skip


def _start_redis(folder: Path, supervisor: Supervisor) -> str:
    server = RedisServer(folder / "redis", find_redis(Settings(_env_file=None)), free_port())
    server.write_config()
    supervisor.start(server.part(os.environ))
    if not poll_until(lambda: redis_answers(server.url), READY_S):
        raise FraudsimError(f"bench: Redis does not answer: {' | '.join(supervisor.last_output('redis'))}")
    return server.url


@contextmanager
def _servers(
    contestants: Sequence[HttpContestant],
    folder: Path,
    world: BenchWorld,
    redis_url: str,
    cores: Cores,
    supervisor: Supervisor,
) -> Iterator[list[RunningServer]]:
    """All contestants, running and checked, for the length of the block."""
    rows = features_of(world, redis_url)
    scores = open_booster(world.model).inplace_predict(rows)
    filled = np.nan_to_num(rows, nan=0.0)  # MLServer's JSON has no missing value
    filled_scores = open_booster(world.model).inplace_predict(filled)
    servers: list[RunningServer] = []
    with ExitStack() as stack:
        for contestant in contestants:
            setup = RivalSetup(
                port=free_port(), metrics_port=free_port(), redis_url=redis_url, segment=world.segment,
                model_dir=str(world.model_dir), xgboost_model=str(folder / "model.ubj"),
            )  # fmt: skip
            inputs: Sequence[Any] = world.probes if contestant.table == FEATURES else list(filled)
            make = requests_of(contestant.path, [contestant.body(item) for item in inputs])
            stack.callback(supervisor.stop, contestant.name)
            server = start_server(contestant, setup, make, folder, cores, supervisor)
            stack.callback(server.generator.close)
            check_scores(server, scores if contestant.table == FEATURES else filled_scores)
            servers.append(server)
        yield servers


def _result(figures: ServerFigures) -> dict[str, Any]:
    server, loads = figures.server, [turn.load for turn in figures.turns]
    histogram = HdrHistogram(1, LONGEST_US, DIGITS)
    for load in loads:
        histogram.add(load.latency_us)
    percentiles = {
        name: round(histogram.get_value_at_percentile(percent) / 1000, 3)
        for name, percent in (("p50_ms", 50), ("p99_ms", 99), ("p99_9_ms", 99.9))
    }
    stages = {name: round(us, 1) for name, us in figures.turns[-1].stages_us.items()}
    return {
        "name": server.contestant.name,
        "table": server.contestant.table,
        "value": round(figures.held),
        "unit": f"requests/s held with p99 under {HELD_MS:g} ms",
        "closed_per_second": round(statistics.median(figures.closed)),
        "closed_turns": [round(rate) for rate in figures.closed],
        "open_rate": figures.rate,
        **percentiles,
        "p99_turns_ms": [round(load.percentile_ms(99), 3) for load in loads],
        "unanswered": sum(load.requests - load.answered for load in loads),
        "cpu_us_per_request": round(statistics.median(turn.cpu_us for turn in figures.turns), 1),
        "first_answer_s": round(server.first_answer_s, 2),
        "others_core_share": round(statistics.median(turn.others for turn in figures.turns), 2),
        "ladder": figures.ladder,
        **({"stages_us": stages} if stages else {}),
    }


def _ratios(results: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    ours = next((r for r in results if r["name"] == "fraudsim"), None)
    if ours is None:
        return {}
    return {
        r["name"]: {
            "held": round(ours["value"] / r["value"], 2) if r["value"] else float("inf"),
            "closed": round(ours["closed_per_second"] / r["closed_per_second"], 2),
            "cpu": round(r["cpu_us_per_request"] / ours["cpu_us_per_request"], 2),
        }
        for r in results
        if r is not ours
    }


def _summary_line(r: dict[str, Any]) -> str:
    return (
        f"{r['table']}, {r['name']}: holds {r['value']:,}/s, closed loop {r['closed_per_second']:,}/s; at "
        f"{r['open_rate']:,.0f}/s p50 {r['p50_ms']:.2f} p99 {r['p99_ms']:.2f} p99.9 {r['p99_9_ms']:.2f} ms, "
        f"{r['cpu_us_per_request']:.0f} µs of CPU a request; first answer after {r['first_answer_s']:.1f} s"
    )
