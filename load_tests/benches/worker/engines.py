"""`fraudsim bench engines`: one log folded by Faust workers and by Spark: throughput, CPU, freshness."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from fraudsim.errors import InvariantError
from fraudsim.log.clock_log import open_clock
from fraudsim.polling import poll_until
from load_tests.benches.worker.spark_tasks import measure_tasks
from load_tests.benches.worker.worker_rig import WorkerRig, sender_process, start_worker_rig
from load_tests.rig.machine import machine
from producers.sources.even_source import EvenSource
from stream_features.engines import trigger_ms
from stream_features.store.prime import prime
from stream_features.worker.spark.connector import SPARK_VERSION
from testing.rigs.spark_cluster import SparkCluster, spark_cluster

PROTOCOL: Final = (
    "Throughput: {events:,} synthetic transactions (5,000 cards, 4,000 devices, 1,000 merchants, one "
    "address) lie in the log. A contestant is started on slots that are not primed; when all its processes "
    "wait, they are primed empty, and it folds the log. Measured from the moment at which every slot has "
    "folded a quarter of them to the moment at which all has; CPU is that of its processes with their "
    "descendants between these moments, Redis's is apart. At the end the states of {keys} keys equal a "
    "recomputation. Freshness: {rate:,} transactions a second, open loop; from {warm:g} s after the first "
    "batch, the age of each slot's state every 50 ms for {seconds:g} s, or two triggers where that is "
    "longer. Kafka, Redis, the sender and all processes share the machine's cores; contestants take turns in "
    "one run."
)
KEYS_CHECKED: Final = 100
FILL_RATE: Final = 20_000
WARM_S: Final = 10.0
ENDLESS: Final = 10**9
"""Transactions of a source that outlasts the measurement; the sender is stopped."""
READY_S: Final = 300.0
POLL_S: Final = 0.05


@dataclass(frozen=True)
class Contestant:
    """What folds the log."""

    name: str
    workers: int = 1
    trigger: str | None = None
    """Of Spark."""
    executors: int = 0
    """Of a standalone cluster, one core each; 0: all in the driver's JVM, or Faust."""

    def options(self, cluster: SparkCluster | None) -> list[str]:
        """The options of `fraudsim worker`."""
        if self.trigger is None:
            return []
        master = ["--master", cluster.url] if cluster is not None else []
        return ["--engine", "spark", "--trigger", self.trigger, *master]


FOLDING: Final = (
    Contestant("faust, 1 worker"),
    Contestant("faust, 2 workers", workers=2),
    Contestant("faust, 4 workers", workers=4),
    Contestant("spark, in one JVM", trigger="1s"),
    Contestant("spark, 1 executor", trigger="1s", executors=1),
    Contestant("spark, 2 executors", trigger="1s", executors=2),
)
FRESH: Final = (
    Contestant("faust"),
    Contestant("spark, 0.5 s", trigger="0.5s"),
    Contestant("spark, 1 s", trigger="1s"),
    Contestant("spark, 5 s", trigger="5s"),
    Contestant("spark, 60 s", trigger="60s"),
)


def bench_engines(
    events: int, rate: int, seconds: float, only: Sequence[str], say: Callable[[str], None]
) -> dict[str, Any]:
    """The report, ready for JSON, measured on stacks of its own.

    Args:
        only: names, or parts of names, of the contestants; all where empty.

    Raises:
        InvariantError: a contestant does not get ready or does not finish, or a state is wrong.
    """
    chosen = [[c for c in group if _chosen(c, only)] for group in (FOLDING, FRESH)]
    results = [*_fold_all(chosen[0], events, say), *_watch_all(chosen[1], rate, seconds, say)]
    return {
        "machine": machine(("faust-streaming", "aiokafka", "redis"), spark=SPARK_VERSION),
        "protocol": PROTOCOL.format(
            events=events, rate=rate, seconds=seconds, warm=WARM_S, keys=KEYS_CHECKED
        ),
        "configuration": {"events": events, "rate": rate, "seconds": seconds},
        "results": results,
        "ratios": _ratios(results),
    }


def _chosen(contestant: Contestant, only: Sequence[str]) -> bool:
    return not only or any(part in contestant.name for part in only)


def _ratios(results: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Throughput of each contestant over that of one Faust worker."""
    rates = {r["name"]: r["value"] for r in results if r["unit"] == "transactions/s"}
    one = rates.get(FOLDING[0].name)
    return {name: round(rate / one, 2) for name, rate in rates.items()} if one else {}


# Throughput


def _fold_all(
    contestants: Sequence[Contestant], events: int, say: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    if not contestants:
        return
    source = EvenSource(FILL_RATE, events)
    with tempfile.TemporaryDirectory() as folder, start_worker_rig(Path(folder)) as rig:
        with sender_process(rig.settings, source, 1.0) as sender:
            sender.join()
        for contestant in contestants:
            with _running(rig, contestant, Path(folder)) as names:
                result = _fold(rig, contestant, names, events)
                result["states_equal"] = rig.check_state(source, KEYS_CHECKED)
            say(f"{contestant.name}: {result['value']:,} transactions/s, {result['cpu_us']:g} µs of CPU each")
            yield result
        yield from measure_tasks(rig, rig.log_ends())


@contextmanager
def _running(rig: WorkerRig, contestant: Contestant, folder: Path) -> Iterator[list[str]]:
    """The contestant's workers, which wait for slots to be primed. Yields their names."""
    rig.redis.delete(*rig.redis.keys("{s*}:*"))
    names = [f"{_word(contestant.name)}-{number}" for number in range(contestant.workers)]
    scratch = folder / _word(contestant.name)
    cluster = spark_cluster(scratch, contestant.executors) if contestant.executors else nullcontext()
    with cluster as running:
        try:
            for name in names:
                rig.start_worker(name, contestant.options(running))
            if not poll_until(lambda: _all_wait(rig, names), READY_S, every_s=0.2):
                raise InvariantError(f"{contestant.name} is not ready within {READY_S:g} s")
            rig.spark = running
            yield names
        finally:
            rig.spark = None
            for name in names:
                rig.stop_worker(name)


def _word(name: str) -> str:
    return "-".join(name.replace(",", "").split())


def _all_wait(rig: WorkerRig, names: Sequence[str]) -> bool:
    """Whether every worker has said that its slots are not primed, and Faust workers have equal shares."""
    if not all("slots_not_primed" in rig.output(name) for name in names):
        return False
    return len(names) == 1 or all(
        len(rig.slots_of(name)) == rig.settings.slots // len(names) for name in names
    )


def _fold(rig: WorkerRig, contestant: Contestant, names: Sequence[str], events: int) -> dict[str, Any]:
    prime(rig.settings, open_clock(rig.settings).clock.first, {}, "", force=True)
    primed, first = _moment(rig, names), _await_folded(rig, names, events // 4)
    last = _await_folded(rig, names, events)
    if first.folded == last.folded:  # one batch of Spark held all
        first = primed
    folded, took_s = last.folded - first.folded, last.at_s - first.at_s
    return {
        "name": contestant.name,
        "value": round(folded / took_s),
        "unit": "transactions/s",
        "cpu_us": round((last.cpu_s - first.cpu_s) / folded * 1e6, 1),
        "redis_us": round((last.redis_s - first.redis_s) / folded * 1e6, 1),
        "kafka_us": round((last.kafka_s - first.kafka_s) / folded * 1e6, 1),
        "measured": folded,
        "seconds": round(took_s, 2),
    }


@dataclass(frozen=True)
class _Moment:
    at_s: float
    folded: int
    cpu_s: float
    redis_s: float
    kafka_s: float


def _moment(rig: WorkerRig, names: Sequence[str]) -> _Moment:
    return _Moment(
        time.monotonic(), rig.folded(), rig.cpu_s(names), rig.cpu_s(["redis"]), rig.cpu_s(["kafka"])
    )


def _await_folded(rig: WorkerRig, names: Sequence[str], count: int) -> _Moment:
    if not poll_until(lambda: rig.folded() >= count, 900, every_s=POLL_S):
        raise InvariantError(f"{rig.folded():,} of {count:,} transactions are folded")
    return _moment(rig, names)


# Freshness


def _watch_all(
    contestants: Sequence[Contestant], rate: int, seconds: float, say: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    if not contestants:
        return
    with tempfile.TemporaryDirectory() as folder, start_worker_rig(Path(folder)) as rig:
        source = EvenSource(rate, ENDLESS)
        for contestant in contestants:
            trigger_s = trigger_ms(contestant.trigger) / 1000 if contestant.trigger else 0.0
            result = _watch(rig, contestant, source, max(seconds, 2 * trigger_s), trigger_s)
            say(
                f"{contestant.name}: state {result['value']:,} ms old at p50, {result['p99_ms']:,} at p99, "
                f"{result['cpu_us']:g} µs of CPU a transaction"
            )
            yield result


def _watch(
    rig: WorkerRig, contestant: Contestant, source: EvenSource, watch_s: float, trigger_s: float
) -> dict[str, Any]:
    name = _word(contestant.name)
    slots = range(rig.settings.slots)
    rig.start_worker(name, contestant.options(None))
    try:
        if not poll_until(lambda: rig.staleness_ms(slots) < 2_000, READY_S, every_s=0.1):
            raise InvariantError(f"{contestant.name} is not ready within {READY_S:g} s")
        with sender_process(rig.settings, source, 1.0):
            before = rig.folded()
            if not poll_until(lambda: rig.folded() > before, READY_S, every_s=0.1):
                raise InvariantError(f"{contestant.name} has folded nothing within {READY_S:g} s")
            time.sleep(WARM_S + trigger_s)
            folded, cpu_s = rig.folded(), rig.cpu_s([name])
            with rig.watched(name) as watch:
                time.sleep(watch_s)
            folded, cpu_s = rig.folded() - folded, rig.cpu_s([name]) - cpu_s
        rig.wait_until_folded(rig.log_size(), 300, name)
    finally:
        rig.stop_worker(name)
    ages_ms = watch.staleness(slots)
    return {
        "name": contestant.name,
        "value": round(float(np.percentile(ages_ms, 50))),
        "unit": "ms, p50 age of the state",
        "p99_ms": round(float(np.percentile(ages_ms, 99))),
        "max_ms": round(float(ages_ms.max())),
        "cpu_us": round(cpu_s / max(folded, 1) * 1e6, 1),
        "memory_mib": round(max(watch.memory_mib)),
        "seconds": round(watch_s, 1),
    }
