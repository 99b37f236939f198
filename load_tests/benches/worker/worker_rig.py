"""A worker on a stack of its own, a sender, and a watch on both: for long benchmarks of folding."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
from aiokafka import TopicPartition
from kafka import KafkaAdminClient
from redis import Redis

from fraudsim.arrays import Doubles
from fraudsim.errors import InvariantError
from fraudsim.log.clock_log import open_clock, start_log
from fraudsim.log.consumer import log_ranges
from fraudsim.log.partitioning import slot_of
from fraudsim.log.topics import LABELS, TRANSACTIONS, create_topics
from fraudsim.polling import poll_until
from fraudsim.process.logs import set_up_logs
from fraudsim.settings import Settings, variable
from producers.sender.clock_starter import DirectClockStarter
from producers.sender.send_plan import SendControl, SendPlan
from producers.sender.sender import SWITCH_INTERVAL_S, send
from producers.sources.even_source import START_MS, EvenSource
from runner.record.costs import cpu_s, process_tree
from runner.stack.stack import start_stack
from runner.supervise.supervisor import Part, Supervisor
from stream_features.encode import ROW_OF
from stream_features.kernels import state as states
from stream_features.store.keys import blob_key, fresh_key, watermark_key
from stream_features.store.prime import prime
from stream_features.store.watermark import decode_watermark
from stream_features.vector import keys_of
from stream_features.worker.assignment import GROUP
from testing.rigs.spark_cluster import SparkCluster

WORKER: Final = "worker"
SAMPLE_EVERY_S: Final = 0.05
MOST_SPEED: Final = 5.0
"""Default limit on a source's event seconds a second; the log's horizon is derived from it."""


@dataclass
class WorkerWatch:
    """Samples of worker and state, one every 50 ms."""

    times_s: list[float] = field(default_factory=list)
    staleness_ms: list[list[float]] = field(default_factory=list)
    """Age of each slot's state, by slot."""
    memory_mib: list[float] = field(default_factory=list)
    """Resident memory of the worker."""

    def staleness(self, slots: Sequence[int], from_s: float = 0.0) -> Doubles:
        """Sampled ages of these slots since `from_s` (monotonic), ms."""
        rows = [row for time_s, row in zip(self.times_s, self.staleness_ms, strict=True) if time_s >= from_s]
        return np.array(rows)[:, list(slots)].ravel()

    def growth_mib_per_hour(self, from_s: float) -> float:
        """The slope of the worker's memory since `from_s` (monotonic)."""
        samples = [
            (time_s, mib)
            for time_s, mib in zip(self.times_s, self.memory_mib, strict=True)
            if time_s >= from_s
        ]
        times_s, memory_mib = np.array(samples).T
        return float(np.polyfit(times_s / 3600, memory_mib, 1)[0])


class WorkerRig:
    """Kafka, Redis with an empty state, and the workers that are started."""

    def __init__(self, supervisor: Supervisor, settings: Settings) -> None:
        self.settings = settings
        self.redis: Any = Redis.from_url(settings.redis_url)
        self.spark: SparkCluster | None = None
        """The cluster whose processes count as the workers' own; None for none."""
        self._supervisor = supervisor

    def start_worker(self, name: str = WORKER, options: Sequence[str] = ()) -> None:
        """Start a worker; it folds the log and follows it. `options` are those of `fraudsim worker`."""
        env = {
            variable("worker_name"): name,
            variable("kafka_bootstrap"): self.settings.kafka_bootstrap,
            variable("redis_url"): self.settings.redis_url,
            variable("metrics_port"): "0",
        }
        argv = [sys.executable, "-m", "fraudsim", "worker", *options]
        self._supervisor.start(Part(name, argv, env, restart=False, stop_timeout_s=30.0))

    def stop_worker(self, name: str) -> None:
        """End a worker by SIGTERM."""
        self._supervisor.stop(name)

    def output(self, name: str) -> str:
        """What a worker has written.

        Raises:
            InvariantError: it has ended.
        """
        if self._supervisor.pid(name) is None:
            raise InvariantError(f"{name} has ended: {self._supervisor.last_output(name)}")
        return self._supervisor.log(name).read_text(errors="replace")

    def cpu_s(self, names: Sequence[str]) -> float:
        """CPU time so far of parts with their descendants, and of the executors of `spark`.

        Spark ends Python processes that were idle for a minute: their time is their parents' then.
        """
        pids = [pid for name in names if (pid := self._supervisor.pid(name)) is not None]
        if self.spark is not None and self.is_worker(names):
            pids += [executor.pid for executor in self.spark.executors()]
        return sum(cpu_s(process_tree(pid), with_ended=True) for pid in pids)

    @staticmethod
    def is_worker(names: Sequence[str]) -> bool:
        """Whether these are workers, not parts of the stack."""
        return not set(names) & {"kafka", "redis"}

    def kill_worker(self, name: str) -> None:
        """End a worker by SIGKILL, so that it does not leave its group."""
        pid = self._supervisor.pid(name)
        if pid is None:
            raise InvariantError(f"{name} has ended: {self._supervisor.last_output(name)}")
        os.kill(pid, signal.SIGKILL)

    def slots_of(self, name: str) -> list[int]:
        """The slots assigned to a worker by its group; none while the group rebalances."""
        admin = KafkaAdminClient(bootstrap_servers=self.settings.kafka_bootstrap)
        try:
            group = admin.describe_groups([GROUP])[GROUP]
        finally:
            admin.close()
        if group["group_state"] != "Stable":
            return []
        assignments = [m["member_assignment"] for m in group["members"] if m["group_instance_id"] == name]
        return sorted(
            partition
            for assignment in assignments
            for topic in assignment["assigned_partitions"]
            for partition in topic["partitions"]
        )

    def worker_cpu_s(self) -> float:
        """CPU time of the worker so far, in seconds."""
        return self.cpu_s([WORKER])

    def offsets(self) -> list[tuple[int, ...]]:
        """Each slot's watermark: the last folded offset, by source."""
        return [decode_watermark(value).offsets for value in self._read_slots(watermark_key)]

    def folded(self, slots: Sequence[int] | None = None) -> int:
        """Transactions folded by all of `slots` (default: all slots)."""
        all_offsets = self.offsets()
        slot_offsets = [all_offsets[slot] for slot in (range(len(all_offsets)) if slots is None else slots)]
        partitions = range(self.settings.partitions)
        return sum(min(offsets[p] for offsets in slot_offsets) + 1 for p in partitions)

    def staleness_ms(self, slots: Sequence[int]) -> float:
        """The age of the oldest state of `slots`."""
        fresh_at = self._read_slots(fresh_key)
        return time.time() * 1000 - min(float(fresh_at[slot]) for slot in slots)

    def log_size(self) -> int:
        """Transactions in the log."""
        return sum(self.log_ends()[: self.settings.partitions])

    def log_ends(self) -> list[int]:
        """The offset after the last, by source."""
        n = self.settings.partitions
        tps = [TopicPartition(topic, p) for topic in (TRANSACTIONS, LABELS) for p in range(n)]
        return [end for _, end in log_ranges(self.settings.kafka_bootstrap, tps).values()]

    def wait_until_folded(self, count: int, timeout_s: float, name: str = WORKER) -> None:
        """Wait until every slot has folded `count` transactions.

        Raises:
            InvariantError: not within `timeout_s`, or the worker has ended.
        """

        def all_folded() -> bool:
            if self._supervisor.pid(name) is None:
                raise InvariantError(f"the worker has ended: {self._supervisor.last_output(name)}")
            return self.folded() >= count

        if not poll_until(all_folded, timeout_s, every_s=0.1):
            raise InvariantError(f"{self.folded():,} of {count:,} transactions are folded")

    @contextmanager
    def watched(self, name: str = WORKER) -> Iterator[WorkerWatch]:
        """Sample for the length of the block; the worker must run throughout."""
        watch, stop = WorkerWatch(), threading.Event()
        worker = psutil.Process(self._supervisor.pid(name))

        def sample() -> None:
            while not stop.wait(SAMPLE_EVERY_S):
                fresh_at = self._read_slots(fresh_key)
                now_ms = time.time() * 1000
                watch.times_s.append(time.monotonic())
                watch.staleness_ms.append([now_ms - float(value) for value in fresh_at])
                watch.memory_mib.append(_memory_mib(worker))

        thread = threading.Thread(target=sample, daemon=True)
        thread.start()
        try:
            yield watch
        finally:
            stop.set()
            thread.join()

    def check_state(self, source: EvenSource, keys: int) -> int:
        """Compare states with a recomputation from the source, to the byte. Returns the number of keys.

        Args:
            keys: most keys that are compared.

        Raises:
            InvariantError: a state differs.
        """
        rows: dict[tuple[str, str], list[tuple[int, ...]]] = {}
        for item in source.items():
            tx: Any = item.event
            for key in keys_of(tx):
                if key in rows or (len(rows) < keys and key[0] != "ip"):
                    rows.setdefault(key, []).append(ROW_OF[key[0]](tx))
        clock = open_clock(self.settings).clock
        for key, key_rows in rows.items():
            stored = self.redis.get(blob_key(slot_of(*key, self.settings.slots), *key))
            state = states.fold(
                key[0], states.empty(key[0]), np.array(key_rows, np.int64), states.NO_LABELS, clock.horizon_ms
            )
            if stored is None or states.canonical(key[0], stored, clock.horizon_ms) != states.canonical(
                key[0], states.to_bytes(state), clock.horizon_ms
            ):
                raise InvariantError(f"the state of {key[0]} {key[1]} is not that of its transactions")
        return len(rows)

    def _read_slots(self, key_of: Any) -> list[Any]:
        return list(self.redis.mget([key_of(slot) for slot in range(self.settings.slots)]))


def _memory_mib(worker: psutil.Process) -> float:
    """Resident memory of a process with its descendants; what forks share counts for each."""
    total = 0
    for process in process_tree(worker.pid):
        with suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total / 2**20


@contextmanager
def start_worker_rig(folder: Path, speed: float = MOST_SPEED) -> Iterator[WorkerRig]:
    """Start servers with an empty state; stop everything at the end of the block.

    Args:
        speed: limit on a source's event seconds a second.
    """
    with Supervisor(folder / "logs") as supervisor:
        addresses = start_stack(folder / "stack", Settings(_env_file=None), supervisor)
        settings = Settings(
            _env_file=None,
            kafka_bootstrap=addresses.kafka_bootstrap,
            redis_url=addresses.redis_url,
            sender="confluent",
            log_level="ERROR",  # falling behind is a result here, not a warning
        )
        create_topics(settings)
        prime(settings, start_log(settings, START_MS, speed, "", "").clock.first, {}, "")
        yield WorkerRig(supervisor, settings)


@contextmanager
def sender_process(settings: Settings, source: EvenSource, speed: float) -> Iterator[BaseProcess]:
    """A process that sends the part of a source that is not in the log yet, for the length of the block.

    Raises:
        InvariantError: the process failed.
    """
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    process = context.Process(target=_send, args=(settings, source, speed, stop))
    process.start()
    try:
        yield process
    finally:
        stop.set()
        process.join(60)
        if process.exitcode is None:
            process.kill()
    if process.exitcode:
        raise InvariantError(f"the sender ended with code {process.exitcode}")


def _send(settings: Settings, source: EvenSource, speed: float, stop: Any) -> None:
    set_up_logs(settings, "bench")
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    clock = DirectClockStarter(open_clock(settings), source, speed)
    send(source, settings, SendPlan(speed=speed), clock, SendControl(stop=stop))
