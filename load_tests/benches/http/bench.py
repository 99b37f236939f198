"""`fraudsim bench http`: our HTTP path beside its peers, a core for each, at a rate that no stall moves."""

import asyncio
import os
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from hdrh.histogram import HdrHistogram
from prometheus_client.parser import text_string_to_metric_families

from fraudsim.errors import FraudsimError, InvariantError
from fraudsim.log.events import encoder
from fraudsim.polling import poll_until
from fraudsim.settings import Settings
from load_tests.benches.http.contestants import CONTESTANTS, FEATURES, MODEL, NAMES, ROOT, Contestant, present
from load_tests.benches.http.requests import MadeWorld, make_world, requests_of, score_in
from load_tests.rig.cores import Cores, cpu_s, family, machine_cpu_s, pinned, two_cores
from load_tests.rig.machine import machine
from load_tests.rig.open_loop import DIGITS, LONGEST_US, Load, LoadGenerator
from load_tests.rivals.common import VARIABLE, Given, open_booster, open_reader
from model.forest.forest import Matrix
from runner.stack.ports import free_port
from runner.stack.redis_binary import find_redis
from runner.stack.redis_server import RedisServer, redis_answers
from runner.supervise.supervisor import Part, Supervisor
from stream_features.store.connection import RedisClient

HELD_MS: Final = 50.0
CONNECTIONS: Final = 128
CLOSED: Final = 32
RATE: Final = 1_000
OWN_SHARE: Final = 0.7
"""Who cannot answer `RATE` a second is asked for this share of what it can."""
PROBES: Final = 5
LADDER_TOP: Final = 1.2
"""Of the closed-loop rate."""
DEGRADED: Final = b'"degraded":true'
"""Ours, made without state because time was short: an answer to a client, but not to this question."""
CHECKED: Final = 50
TRIES: Final = 10
"""Of a check that was answered degraded, as on a machine that is held up."""
TOLERANCE: Final = 1e-6
READY_S: Final = 180.0
WARM_UP_S: Final = 1.0
SETTLE_S: Final = 1.0
STAGE_METRIC: Final = "fraudsim_stage_latency_seconds"
PROTOCOL: Final = (
    "Every server is one process (BentoML: and its supervisor) that answers the same requests about the same "
    "XGBoost model, {pinning}. Features: a transaction in, its state read from Redis by one MGET and turned "
    "into features by the same library (ours), a score out; fraudsim runs its whole HTTP path (checks, claim "
    "and reply kept in Redis for repeats, rules and policy, the decision's record encoded for the log), but "
    "for the log, which acknowledges at once: nothing is published by anybody. Model: a feature vector in, a "
    "score out; fraudsim's is its compiled trees behind the same Starlette as the rival's. Before anything "
    "is timed, {checked} answers of each must be the model's own scores to {tolerance:g}; a degraded answer "
    "of ours counts as none. Servers take turns: closed loop with {closed} connections, then an open loop at "
    "{rate:,}/s (or {share:.0%} of its closed loop, where that is less), latency from the intended send time "
    "in an HDR histogram over all turns. `value` is the highest rate of a bisection in which every request "
    "got its answer and p99 stayed under {held:g} ms. CPU is of the server's processes; `others_core_share` "
    "is what the rest of the machine used meanwhile: where that is much, compare CPU, not latency."
)


@dataclass
class Running:
    """A server that answers, and what was measured of it so far."""

    contestant: Contestant
    pid: int
    given: Given
    generator: LoadGenerator
    make: Callable[[int], bytes]
    first_answer_s: float
    asked: int = 0
    closed: list[float] = field(default_factory=list)
    rate: float = 0.0
    open: list[Load] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)
    ladder: list[dict[str, Any]] = field(default_factory=list)
    held: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)

    def next(self, count: float) -> int:
        """The number of the first of so many requests that were never asked before."""
        first = self.asked
        self.asked += int(count) + 1
        return first


def bench_http(
    only: Sequence[str] = (),
    seconds: float = 2.0,
    turns: int = 3,
    said: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """The whole report, ready for JSON. `said` is told a line about each server.

    Raises:
        FraudsimError: a server cannot be started or asked.
        InvariantError: one answers with another score than the model's.
    """
    for name in only:
        if name not in NAMES:
            raise FraudsimError(f"bench: --only {name}: there are {', '.join(NAMES)}")
    wanted, missing = present([each for each in CONTESTANTS if not only or each.name in only])
    for line in missing:
        said(line)
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
            with _servers(
                [c for c in wanted if c.table == table], folder, world, redis_url, cores, supervisor
            ) as all:
                with pinned(cores.driver):
                    _measure(all, cores, seconds, turns)
                for each in all:
                    results.append(_result(each))
                    said(_line(results[-1]))
    return {
        "machine": machine(("xgboost", "starlette", "uvicorn", "redis", "hdrhistogram")),
        "protocol": PROTOCOL.format(
            pinning=cores.said, checked=CHECKED, tolerance=TOLERANCE, closed=CLOSED, rate=RATE,
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
    contestants: Sequence[Contestant],
    folder: Path,
    world: MadeWorld,
    redis_url: str,
    cores: Cores,
    supervisor: Supervisor,
) -> Iterator[list[Running]]:
    """All of them, running and checked, for the length of the block."""
    rows = _features(world, redis_url)
    scores = open_booster(world.model).inplace_predict(rows)
    filled = np.nan_to_num(rows, nan=0.0)  # MLServer's JSON knows no missing value
    of_filled = open_booster(world.model).inplace_predict(filled)
    running: list[Running] = []
    with ExitStack() as stack:
        for contestant in contestants:
            given = Given(
                port=free_port(), metrics_port=free_port(), redis_url=redis_url, segment=world.segment,
                model_dir=str(world.model_dir), xgboost_model=str(folder / "model.ubj"),
            )  # fmt: skip
            inputs: Sequence[Any] = world.asked if contestant.table == FEATURES else list(filled)
            make = requests_of(contestant.path, [contestant.body(each) for each in inputs])
            stack.callback(supervisor.stop, contestant.name)
            each = _start(contestant, given, make, folder, cores, supervisor)
            stack.callback(each.generator.close)
            _check(each, scores if contestant.table == FEATURES else of_filled)
            running.append(each)
        yield running


def _features(world: MadeWorld, redis_url: str) -> Matrix:
    """What the transactions' features are, float32 (n, SIZE)."""

    async def read() -> Matrix:
        link = RedisClient.with_long_timeouts(redis_url)
        try:
            readings = await open_reader(link, world.segment).read(world.asked)
        finally:
            await link.close()
        return np.stack([reading.features for reading in readings])

    return asyncio.run(read())


def _start(
    contestant: Contestant,
    given: Given,
    make: Callable[[int], bytes],
    folder: Path,
    cores: Cores,
    supervisor: Supervisor,
) -> Running:
    own = folder / f"{contestant.name}-{contestant.table}"
    own.mkdir()
    (own / "given.json").write_bytes(encoder.encode(given))
    env = {
        **os.environ, VARIABLE: str(own / "given.json"), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1",
        "BENTOML_HOME": str(own), "BENTOML_DO_NOT_TRACK": "True",
    }  # fmt: skip
    argv = [str(contestant.python), *contestant.command(own, given)]
    started_s = time.perf_counter()
    with pinned(cores.server):
        pid = supervisor.start(Part(contestant.name, argv, env, restart=False))

    def answers() -> bool:
        if supervisor.pid(contestant.name) is None:
            raise FraudsimError(f"bench: {_why(contestant, supervisor)}")
        try:
            probe = LoadGenerator("127.0.0.1", given.port, 1)
        except FraudsimError:
            return False
        try:
            status, _ = probe.ask(make(0))
        except OSError:
            return False
        finally:
            probe.close()
        return status == 200

    if not poll_until(answers, READY_S):
        raise FraudsimError(f"bench: {_why(contestant, supervisor)}")
    first_answer_s = time.perf_counter() - started_s
    generator = LoadGenerator("127.0.0.1", given.port, CONNECTIONS, DEGRADED)
    return Running(contestant, pid, given, generator, make, first_answer_s, asked=1)


def _why(contestant: Contestant, supervisor: Supervisor) -> str:
    lines = " | ".join(supervisor.last_output(contestant.name))
    return f"{contestant.name} ({contestant.table}) does not answer {contestant.path}: {lines}"


def _check(each: Running, scores: Matrix) -> None:
    """Raise InvariantError where an answer is not the model's score."""
    for _ in range(CHECKED):
        for _ in range(TRIES):
            number = each.next(1)
            status, body = each.generator.ask(each.make(number))
            if DEGRADED not in body:
                break
        expected = float(scores[number % len(scores)])
        if status != 200 or not abs(score_in(body) - expected) <= TOLERANCE:
            raise InvariantError(
                f"bench: {each.contestant.name} ({each.contestant.table}): {status} {body[:200]!r}, "
                f"the model's score is {expected!r}"
            )


def _measure(all: list[Running], cores: Cores, seconds: float, turns: int) -> None:
    for each in all:
        each.generator.closed(each.make, each.next(WARM_UP_S * 50_000), CLOSED, WARM_UP_S)
    for _ in range(turns):
        for each in all:
            load = each.generator.closed(each.make, each.next(seconds * 50_000), CLOSED, seconds)
            each.closed.append(load.per_second)
    for each in all:
        each.rate = min(float(RATE), round(OWN_SHARE * statistics.median(each.closed)))
    for _ in range(turns):
        for each in all:
            _open(each, seconds)
    for each in all:
        _climb(each, seconds)


def _open(each: Running, seconds: float) -> None:
    """One turn at the fixed rate, with what it cost."""
    processes = family(each.pid)
    mine = [*processes, *family(os.getpid())]
    stages, before, all_before, machine_before = _stages(each), cpu_s(processes), cpu_s(mine), machine_cpu_s()
    started_s = time.perf_counter()
    load = each.generator.open(each.make, each.next(each.rate * seconds), each.rate, seconds)
    took_s = time.perf_counter() - started_s
    each.open.append(load)
    each.cpu_us.append((cpu_s(processes) - before) / max(1, load.answered) * 1e6)
    others = machine_cpu_s() - machine_before - (cpu_s(mine) - all_before)
    each.others.append(max(0.0, others) / took_s)
    for stage, (total_s, count) in _stages(each).items():
        since = stages.get(stage, (0.0, 0.0))
        each.stages[stage] = (total_s - since[0]) / max(1.0, count - since[1]) * 1e6


def _stages(each: Running) -> dict[str, tuple[float, float]]:
    """Of our own server: seconds and decisions so far, by stage."""
    if each.contestant.name != "fraudsim" or each.contestant.table != FEATURES:
        return {}
    with urllib.request.urlopen(f"http://127.0.0.1:{each.given.metrics_port}/metrics") as reply:
        text = reply.read().decode()
    found: dict[str, tuple[float, float]] = {}
    for family_of in text_string_to_metric_families(text):
        if family_of.name == STAGE_METRIC:
            for sample in family_of.samples:
                seconds, count = found.get(sample.labels["stage"], (0.0, 0.0))
                if sample.name.endswith("_sum"):
                    found[sample.labels["stage"]] = (sample.value, count)
                elif sample.name.endswith("_count"):
                    found[sample.labels["stage"]] = (seconds, sample.value)
    return found


def _climb(each: Running, seconds: float) -> None:
    """Bisect for the highest rate that is held."""
    low, high = 0.0, LADDER_TOP * statistics.median(each.closed)
    for probe in range(PROBES):
        rate = (low + high) / 2 if probe else high * OWN_SHARE / LADDER_TOP
        load = each.generator.open(each.make, each.next(rate * seconds), rate, seconds)
        held = load.complete and load.percentile_ms(99) < HELD_MS
        each.ladder.append(
            {"rate": round(rate), "held": held, "p99_ms": round(load.percentile_ms(99), 2),
             "unanswered": load.asked - load.answered}
        )  # fmt: skip
        low, high = (rate, high) if held else (low, rate)
        if not held:
            time.sleep(SETTLE_S)  # let it get rid of what was given up
    each.held = low


def _result(each: Running) -> dict[str, Any]:
    together = HdrHistogram(1, LONGEST_US, DIGITS)
    for load in each.open:
        together.add(load.latency_us)
    of = {
        name: round(together.get_value_at_percentile(percent) / 1000, 3)
        for name, percent in (("p50_ms", 50), ("p99_ms", 99), ("p99_9_ms", 99.9))
    }
    return {
        "name": each.contestant.name,
        "table": each.contestant.table,
        "value": round(each.held),
        "unit": f"requests/s held with p99 under {HELD_MS:g} ms",
        "closed_per_second": round(statistics.median(each.closed)),
        "closed_turns": [round(rate) for rate in each.closed],
        "open_rate": each.rate,
        **of,
        "p99_turns_ms": [round(load.percentile_ms(99), 3) for load in each.open],
        "unanswered": sum(load.asked - load.answered for load in each.open),
        "cpu_us_per_request": round(statistics.median(each.cpu_us), 1),
        "first_answer_s": round(each.first_answer_s, 2),
        "others_core_share": round(statistics.median(each.others), 2),
        "ladder": each.ladder,
        **({"stages_us": {name: round(us, 1) for name, us in each.stages.items()}} if each.stages else {}),
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


def _line(r: dict[str, Any]) -> str:
    return (
        f"{r['table']}, {r['name']}: holds {r['value']:,}/s, closed loop {r['closed_per_second']:,}/s; at "
        f"{r['open_rate']:,.0f}/s p50 {r['p50_ms']:.2f} p99 {r['p99_ms']:.2f} p99.9 {r['p99_9_ms']:.2f} ms, "
        f"{r['cpu_us_per_request']:.0f} µs of CPU a request; first answer after {r['first_answer_s']:.1f} s"
    )
