"""The stack of `fraudsim bench features`: a filled topic, an empty state, one core for the contestant."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from redis import Redis

from fraudsim.errors import FraudsimError
from fraudsim.log.events import Segment
from fraudsim.polling import poll_until
from fraudsim.settings import Settings
from load_tests.benches.features import checks
from load_tests.benches.features.contestants import OURS, FeatureContestant, python_of
from load_tests.benches.features.traffic import Traffic, fill
from load_tests.rig.cores import pin, usable_cores
from load_tests.rig.process_tree import cpu_s, peak_mb, process_tree
from runner.stack.stack import StackAddresses, environment
from runner.supervise.supervisor import Part, Supervisor
from stream_features.store.keys import watermark_key
from stream_features.store.prime import prime
from stream_features.store.watermark import decode_watermark

SAMPLED: Final = 20
"""Cards that are checked: the busiest."""
FEWEST: Final = 200
"""Events of the smallest share: among fewer, the sampled cards may not occur."""
LONGEST_S: Final = 120.0
"""Limit on one turn."""
SLOTS_ASSIGNED: Final = b'"place_taken"'
"""The worker's log entry for an assignment."""

Figures = dict[str, float]
"""Figures of one turn, by their names in the report."""


@dataclass
class FoldingRig:
    """Runs contestants one after another on one filled topic, and checks what each folded."""

    folder: Path
    supervisor: Supervisor
    addresses: StackAddresses
    traffic: Traffic
    _turn: int = 0

    def __post_init__(self) -> None:
        self.settings = Settings(
            _env_file=None,
            kafka_bootstrap=self.addresses.kafka_bootstrap,
            redis_url=self.addresses.redis_url,
        )
        self.segment: Segment = fill(self.settings, self.traffic)
        self.sample = self.traffic.by_card(self.traffic.cards()[:SAMPLED])
        self.redis = Redis.from_url(self.addresses.redis_url)
        self.core, *other_cores = usable_cores()
        for server in ("kafka", "redis"):
            pid = self.supervisor.pid(server)
            if pid is not None and other_cores:
                pin(pid, other_cores[0])

    def run(self, contestant: FeatureContestant) -> Figures:
        """One turn on an emptied Redis: run, check, measure CPU and memory of Redis.

        Raises:
            FraudsimError: the contestant failed or took longer than `LONGEST_S`.
            InvariantError: its results differ from brute force.
        """
        self._turn += 1
        self.redis.flushdb()
        before_s = self._redis_cpu_s()
        figures = self._run_worker(contestant) if contestant.entities else self._run_rival(contestant)
        after_s = self._redis_cpu_s()
        memory = self._redis_bytes()
        if memory:
            figures |= memory
            figures["redis_cpu_us"] = (after_s - before_s) / figures["events"] * 1e6
        return figures

    def _run_rival(self, contestant: FeatureContestant) -> Figures:
        out = self.folder / f"run-{self._turn}.json"
        arguments = {
            "kafka": self.addresses.kafka_bootstrap,
            "redis": self.addresses.redis_url,
            "events": max(FEWEST, round(len(self.traffic.transactions) * contestant.share)),
            "partitions": self.settings.partitions,
            "cards": list(self.sample),
            "out": str(out),
            **contestant.options,
        }
        name = self._start(contestant, ["-m", contestant.module, json.dumps(arguments)], finishes=True)
        self._wait(contestant, name, lambda: self.supervisor.pid(name) is None)
        if not out.exists():
            raise FraudsimError(f"bench features: {contestant.name} ended early: {self._last_output(name)}")
        report = json.loads(out.read_bytes())
        self._check(contestant, report["seen"])
        return _figures(report["events"], report["seconds"], report["cpu_s"], report["peak_mb"])

    def _run_worker(self, contestant: FeatureContestant) -> Figures:
        prime(self.settings, self.segment, {}, "", force=True)
        module = [contestant.module, *(["worker"] if contestant is OURS else [])]
        name = self._start(contestant, ["-m", *module])
        log, pid = self.supervisor.log(name), self.supervisor.pid(name) or 0
        self._wait(contestant, name, lambda: SLOTS_ASSIGNED in log.read_bytes(), every_s=0.005)
        started_s, cpu_before_s = time.perf_counter(), cpu_s(process_tree(pid))
        self._wait(contestant, name, self._all_folded, every_s=0.01)
        seconds = time.perf_counter() - started_s
        used_s, peak = cpu_s(process_tree(pid)) - cpu_before_s, peak_mb(pid)
        self.supervisor.stop(name)
        self._check(contestant, {})
        return _figures(len(self.traffic.transactions), seconds, used_s, peak)

    def _all_folded(self) -> bool:
        n = self.settings.partitions
        stored: Any = self.redis.mget([watermark_key(slot) for slot in range(self.settings.slots)])
        slot_offsets = [decode_watermark(value).offsets for value in stored]
        in_log = len(self.traffic.transactions), len(self.traffic.labels)
        return all((sum(offsets[:n]) + n, sum(offsets[n:]) + n) == in_log for offsets in slot_offsets)

    def _check(self, contestant: FeatureContestant, seen: dict[str, Any]) -> None:
        name = contestant.name
        checks_by_kind: dict[str, Callable[[], None]] = {
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
        checks_by_kind[contestant.check]()

    def _start(self, contestant: FeatureContestant, arguments: list[str], *, finishes: bool = False) -> str:
        name = f"{self._turn}-{contestant.module.split('.')[-1]}"
        env = dict(os.environ) | environment(self.addresses) | {"FRAUDSIM_METRICS_PORT": "0"}
        argv = [str(python_of(contestant)), *arguments]
        pid = self.supervisor.start(Part(name, argv, env, restart=False, finishes=finishes))
        pin(pid, self.core)
        return name

    def _wait(
        self,
        contestant: FeatureContestant,
        name: str,
        condition: Callable[[], bool],
        every_s: float = 0.02,
    ) -> None:
        if not poll_until(lambda: condition() or name in self.supervisor.failed, LONGEST_S, every_s=every_s):
            self.supervisor.stop(name)
            raise FraudsimError(
                f"bench features: {contestant.name} took more than {LONGEST_S:.0f} s: fewer --events"
            )
        if name in self.supervisor.failed:
            raise FraudsimError(f"bench features: {contestant.name} failed: {self._last_output(name)}")

    def _last_output(self, name: str) -> str:
        return " | ".join(self.supervisor.last_output(name, 3))

    def _redis_cpu_s(self) -> float:
        pid = self.supervisor.pid("redis")
        return cpu_s(process_tree(pid)) if pid is not None else 0.0

    def _redis_bytes(self) -> Figures:
        """Mean bytes of a card's own key, and of all keys together per card; empty without keys."""
        keys: list[bytes] = list(self.redis.scan_iter(count=1_000))
        if not keys:
            return {}
        pipe = self.redis.pipeline(transaction=False)
        for key in keys:
            pipe.memory_usage(key, samples=0)
        sizes = dict(zip(keys, pipe.execute(), strict=True))
        card_sizes = [size for key, size in sizes.items() if b":card:" in key or b":card_id:" in key]
        return {
            "redis_bytes_per_card": sum(card_sizes) / len(card_sizes),
            "redis_bytes_of_all_per_card": sum(sizes.values()) / len(card_sizes),
        }


def _figures(events: int, seconds: float, used_s: float, peak: float) -> Figures:
    return {
        "value": events / seconds,
        "cpu_us": used_s / events * 1e6,
        "peak_mb": peak,
        "events": events,
    }
