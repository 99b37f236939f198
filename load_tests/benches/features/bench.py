"""`fraudsim bench features`: the feature worker beside what else folds a stream, on one filled topic."""

import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import psutil
from redis import Redis

from fraudsim.errors import FraudsimError
from fraudsim.log.events import Segment
from fraudsim.polling import poll_until
from fraudsim.settings import Settings
from load_tests.benches.features import checks
from load_tests.benches.features.contestants import CARDS, CONTESTANTS, EXTRA, OURS, Contestant
from load_tests.benches.features.traffic import SEED, Traffic, fill, make_traffic
from load_tests.rig.machine import machine
from load_tests.rig.process_tree import cpu_s, peak_mb
from runner.stack.stack import StackAddresses, environment, start_stack
from runner.supervise.supervisor import Part, Supervisor
from stream_features.store.keys import watermark_key
from stream_features.store.prime import prime
from stream_features.store.watermark import decode_watermark

PROTOCOL: Final = (
    "The world's transactions, and the labels known by then, stand in four partitions of a real Kafka before "
    "anybody reads; the state is empty. Each contestant is started anew and reads from the start, in a "
    "process pinned to one core; broker and Redis are pinned to another. Time and CPU of a rival run from "
    "the first record handed to its code to the last one done with; those of the worker, seen from outside, "
    "from the moment it has taken its slots to the last watermark in Redis. CPU is the contestant's user and "
    "system time. Who is slow gets the first of the events only (`events`). What each computes is said in "
    "`does`; features are those that it computes or keeps the state of. After each turn sampled cards are "
    "compared with brute force, and a difference ends the bench. Contestants take turns; medians. Ratios are "
    "of transactions/s; `cpu_ratios` of CPU, which tells more where other programs share the machine."
)
SAMPLED: Final = 20
"""Cards that are checked: the busiest."""
EVENTS: Final = 150_000
CARDS_OF_WORLD: Final = 10_000
FEWEST: Final = 200
"""Events of the smallest share: among fewer may be none of the sampled cards."""
TURNS: Final = 3
LONGEST_S: Final = 120.0
"""A contestant that takes longer is given up."""
TAKEN: Final = b'"place_taken"'

Say = Callable[[str], None]
Measured = dict[str, float]


def bench_features(
    events: int = EVENTS,
    turns: int = TURNS,
    only: Sequence[str] = (),
    *,
    cards: int = CARDS_OF_WORLD,
    say: Say = lambda _: None,
) -> dict[str, Any]:
    """The whole report, ready for JSON, measured on a stack of its own.

    Raises:
        FraudsimError: `only` names nobody, or one that is not installed; a contestant failed.
        InvariantError: a contestant did not do the work.
    """
    contestants = _chosen(only, say)
    traffic = make_traffic(events, cards)
    measured: dict[str, list[Measured]] = {each.name: [] for each in contestants}
    with (
        tempfile.TemporaryDirectory(prefix="fraudsim-bench-") as folder,
        Supervisor(Path(folder) / "logs") as supervisor,
    ):
        addresses = start_stack(Path(folder) / "stack", Settings(_env_file=None), supervisor)
        arena = Arena(Path(folder), supervisor, addresses, traffic)
        for turn in range(turns):
            for each in list(contestants):
                try:
                    found = arena.run(each)
                except FraudsimError as error:
                    if only or each.entities:
                        raise
                    say(f"{error}; going on without")
                    contestants.remove(each)
                    continue
                measured[each.name].append(found)
                rate = found["value"]
                say(f"turn {turn + 1} of {turns}, {each.name}: {rate:,.0f} transactions/s")
    results = [_result(each, measured[each.name]) for each in contestants]
    return {
        "machine": machine(
            ("faust-streaming", "kafka-python", "aiokafka", "redis", "numba"), **_extra_versions()
        ),
        "protocol": PROTOCOL,
        "configuration": {
            "events": events,
            "labels": len(traffic.labels),
            "cards": len(traffic.cards()),
            "turns": turns,
            "seed": SEED,
        },
        "results": results,
        "ratios": _ratios(results, OURS.name),
        "ratios_cards_only": _ratios(results, CARDS.name),
        "cpu_ratios": _ratios(results, OURS.name, "cpu_us"),
        "cpu_ratios_cards_only": _ratios(results, CARDS.name, "cpu_us"),
    }


def python_of(contestant: Contestant) -> Path:
    """The interpreter that runs a contestant: this one, or that of the extra."""
    if not contestant.extra:
        return Path(sys.executable)
    return Path(__file__).parents[3] / f".venv-{EXTRA}" / "bin" / "python"


def _chosen(only: Sequence[str], say: Say) -> list[Contestant]:
    unknown = sorted(set(only) - {each.name for each in CONTESTANTS})
    if unknown:
        names = ", ".join(repr(each.name) for each in CONTESTANTS)
        raise FraudsimError(f"bench features: --only {unknown[0]!r} is none of {names}")
    chosen = [each for each in CONTESTANTS if not only or each.name in only]
    missing = [each for each in chosen if not python_of(each).exists()]
    if missing:
        names = ", ".join(each.name for each in missing)
        line = f"bench features: {names} not installed: run `make setup-{EXTRA}`"
        if only:
            raise FraudsimError(line)
        say(f"{line}; going on without")
    return [each for each in chosen if each not in missing]


@dataclass
class Arena:
    """A stack with the filled topic, and the two cores."""

    folder: Path
    supervisor: Supervisor
    addresses: StackAddresses
    traffic: Traffic
    _run: int = 0

    def __post_init__(self) -> None:
        self.settings = Settings(
            _env_file=None,
            kafka_bootstrap=self.addresses.kafka_bootstrap,
            redis_url=self.addresses.redis_url,
        )
        self.segment: Segment = fill(self.settings, self.traffic)
        self.sample = self.traffic.by_card(self.traffic.cards()[:SAMPLED])
        self.redis = Redis.from_url(self.addresses.redis_url)
        self.core, *others = cores()
        for server in ("kafka", "redis"):
            pid = self.supervisor.pid(server)
            if pid is not None and others:
                pin(pid, others[0])

    def run(self, contestant: Contestant) -> Measured:
        """One turn: run, check, measure what it left in Redis, and wipe that out."""
        self._run += 1
        self.redis.flushdb()
        redis_pid = self.supervisor.pid("redis")
        before_s = cpu_s(redis_pid) if redis_pid is not None else 0.0
        found = self._worker(contestant) if contestant.entities else self._rival(contestant)
        after_s = cpu_s(redis_pid) if redis_pid is not None else 0.0
        used = self._redis_bytes()
        if used:
            found |= used
            found["redis_cpu_us"] = (after_s - before_s) / found["events"] * 1e6
        return found

    def _rival(self, contestant: Contestant) -> Measured:
        out = self.folder / f"run-{self._run}.json"
        given = {
            "kafka": self.addresses.kafka_bootstrap,
            "redis": self.addresses.redis_url,
            "events": max(FEWEST, round(len(self.traffic.transactions) * contestant.share)),
            "partitions": self.settings.partitions,
            "cards": list(self.sample),
            "out": str(out),
            **contestant.options,
        }
        name = self._start(contestant, ["-m", contestant.module, json.dumps(given)], finishes=True)
        self._until(contestant, name, lambda: self.supervisor.pid(name) is None)
        if not out.exists():
            raise FraudsimError(f"bench features: {contestant.name} ended early: {self._last(name)}")
        told = json.loads(out.read_bytes())
        self._check(contestant, told["seen"])
        return _measured(told["events"], told["seconds"], told["cpu_s"], told["peak_mb"])

    def _worker(self, contestant: Contestant) -> Measured:
        prime(self.settings, self.segment, {}, "", force=True)
        module = [contestant.module, *(["worker"] if contestant is OURS else [])]
        name = self._start(contestant, ["-m", *module])
        log, pid = self.supervisor.log(name), self.supervisor.pid(name) or 0
        self._until(contestant, name, lambda: TAKEN in log.read_bytes(), every_s=0.005)
        began_s, cpu_before_s = time.perf_counter(), cpu_s(pid)
        self._until(contestant, name, self._all_folded, every_s=0.01)
        seconds, used_s, peak = time.perf_counter() - began_s, cpu_s(pid) - cpu_before_s, peak_mb(pid)
        self.supervisor.stop(name)
        self._check(contestant, {})
        return _measured(len(self.traffic.transactions), seconds, used_s, peak)

    def _all_folded(self) -> bool:
        n = self.settings.partitions
        stored: Any = self.redis.mget([watermark_key(slot) for slot in range(self.settings.slots)])
        every = [decode_watermark(value).offsets for value in stored]
        wanted = len(self.traffic.transactions), len(self.traffic.labels)
        return all((sum(its[:n]) + n, sum(its[n:]) + n) == wanted for its in every)

    def _check(self, contestant: Contestant, seen: dict[str, Any]) -> None:
        name = contestant.name
        how: dict[str, Callable[[], None]] = {
            "records": partial(checks.check_records, name, seen, self.sample),
            "values": partial(checks.check_values, name, seen, self.sample),
            "windows": lambda: checks.check_windows(
                name, seen, self.sample, contestant.options["window_ms"]
            ),
            "sliding": partial(checks.check_sliding, name, seen, self.sample),
            "sorted_sets": partial(checks.check_sorted_sets, name, seen, self.sample, self.redis),
            "state": lambda: checks.check_state(
                name, self.traffic, self.sample, self.redis, self.settings.slots, contestant.entities,
                self.segment.horizon_ms,
            ),
        }  # fmt: skip
        how[contestant.checked]()

    def _start(self, contestant: Contestant, arguments: list[str], *, finishes: bool = False) -> str:
        name = f"{self._run}-{contestant.module.split('.')[-1]}"
        env = dict(os.environ) | environment(self.addresses) | {"FRAUDSIM_METRICS_PORT": "0"}
        argv = [str(python_of(contestant)), *arguments]
        pid = self.supervisor.start(Part(name, argv, env, restart=False, finishes=finishes))
        pin(pid, self.core)
        return name

    def _until(
        self, contestant: Contestant, name: str, holds: Callable[[], bool], every_s: float = 0.02
    ) -> None:
        if not poll_until(lambda: holds() or name in self.supervisor.failed, LONGEST_S, every_s=every_s):
            self.supervisor.stop(name)
            raise FraudsimError(
                f"bench features: {contestant.name} took more than {LONGEST_S:.0f} s: fewer --events"
            )
        if name in self.supervisor.failed:
            raise FraudsimError(f"bench features: {contestant.name} failed: {self._last(name)}")

    def _last(self, name: str) -> str:
        return " | ".join(self.supervisor.last_output(name, 3))

    def _redis_bytes(self) -> Measured:
        """Of what a card's own key takes, the mean, and of all keys together per card; none without keys."""
        keys: list[bytes] = list(self.redis.scan_iter(count=1_000))
        if not keys:
            return {}
        pipe = self.redis.pipeline(transaction=False)
        for key in keys:
            pipe.memory_usage(key, samples=0)
        sizes = dict(zip(keys, pipe.execute(), strict=True))
        of_cards = [size for key, size in sizes.items() if b":card:" in key or b":card_id:" in key]
        return {
            "redis_bytes_per_card": sum(of_cards) / len(of_cards),
            "redis_bytes_of_all_per_card": sum(sizes.values()) / len(of_cards),
        }


def _measured(events: int, seconds: float, used_s: float, peak: float) -> Measured:
    return {
        "value": events / seconds,
        "cpu_us": used_s / events * 1e6,
        "peak_mb": peak,
        "events": events,
    }


def _result(contestant: Contestant, turns: list[Measured]) -> dict[str, Any]:
    """Medians over the turns; the rate of each turn beside."""
    middle = {name: round(statistics.median(turn[name] for turn in turns), 1) for name in turns[0]}
    return {
        "name": contestant.name,
        "value": middle.pop("value"),
        "unit": "transactions/s",
        "features": contestant.features,
        "does": contestant.does,
        **middle,
        "turns": [round(turn["value"], 1) for turn in turns],
    }


def _ratios(results: list[dict[str, Any]], ours: str, of: str = "value") -> dict[str, float]:
    """Ours over each rival; of CPU the other way round, so that more than 1 is better for us."""
    found = {each["name"]: float(each[of]) for each in results}
    if ours not in found:
        return {}
    rivals = found.keys() - {OURS.name, CARDS.name}
    power = 1 if of == "value" else -1
    return {name: round((found[ours] / found[name]) ** power, 2) for name in found if name in rivals}


def _extra_versions() -> dict[str, str]:
    """Versions of the rivals in the extra's .venv, by the folders of their metadata."""
    found: dict[str, str] = {}
    for name in ("quixstreams", "bytewax"):
        packages = Path(__file__).parents[3] / f".venv-{EXTRA}"
        for folder in packages.glob(f"lib/*/site-packages/{name}-*.dist-info"):
            found[name] = folder.name.removeprefix(f"{name}-").removesuffix(".dist-info")
    return found


def cores() -> list[int]:
    """The processor cores that may be used, the first for contestants; one that cannot be pinned to is 0."""
    if not hasattr(os, "sched_getaffinity"):
        return [0]
    return sorted(os.sched_getaffinity(0))


def pin(pid: int, core: int) -> None:
    """Let a process, with all threads it has and will have, run on one core, where the system can."""
    if not hasattr(os, "sched_setaffinity"):
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        for thread in psutil.Process(pid).threads():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(thread.id, {core})
