"""A worker on a stack of its own, a sender beside it, and a watcher: for benchmarks of folding that last."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import psutil
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from redis import Redis

from fraudsim.errors import InvariantError
from fraudsim.log.clock_log import open_clock, start_log
from fraudsim.log.partitioning import slot_of
from fraudsim.log.topics import TRANSACTIONS, create_topics
from fraudsim.logs import set_up_logs
from fraudsim.polling import poll_until
from fraudsim.settings import Settings, variable
from producers.sender.sender import SWITCH_INTERVAL_S, send
from producers.sources.even_source import START_MS, EvenSource
from runner.stack.stack import start_stack
from runner.supervise.supervisor import Part, Supervisor
from stream_features.encode import ROW_OF
from stream_features.kernels import state as states
from stream_features.store.keys import blob_key, fresh_key, watermark_key
from stream_features.store.prime import prime
from stream_features.store.watermark import decode_watermark
from stream_features.vector import keys_of
from stream_features.worker.assignment import GROUP

WORKER: Final = "worker"
EVERY_S: Final = 0.05
MOST_SPEED: Final = 5.0
"""Event seconds a second at which a source may be sent, unless told otherwise: the log's horizon is made for
it."""
Doubles = npt.NDArray[np.float64]


@dataclass
class Watch:
    """What was seen of worker and state, every 50 ms."""

    times_s: list[float] = field(default_factory=list)
    staleness_ms: list[list[float]] = field(default_factory=list)
    """Age of each slot's state, by slot."""
    memory_mib: list[float] = field(default_factory=list)
    """Resident memory of the worker."""

    def staleness(self, slots: Sequence[int], from_s: float = 0.0) -> Doubles:
        """The ages seen of these slots since `from_s` (monotonic), ms."""
        rows = [row for at, row in zip(self.times_s, self.staleness_ms, strict=True) if at >= from_s]
        return np.array(rows)[:, list(slots)].ravel()

    def growth_mib_per_hour(self, from_s: float) -> float:
        """The slope of the worker's memory since `from_s` (monotonic)."""
        seen = [(at, mib) for at, mib in zip(self.times_s, self.memory_mib, strict=True) if at >= from_s]
        hours, mib = np.array(seen).T
        return float(np.polyfit(hours / 3600, mib, 1)[0])


class FoldLine:
    """Kafka, Redis with the empty state, and a worker when it is started."""

    def __init__(self, supervisor: Supervisor, settings: Settings) -> None:
        self.settings = settings
        self.redis: Any = Redis.from_url(settings.redis_url)
        self._supervisor = supervisor

    def start_worker(self, name: str = WORKER) -> None:
        """Start one; it folds what the log holds and goes on."""
        env = {
            variable("worker_name"): name,
            variable("kafka_bootstrap"): self.settings.kafka_bootstrap,
            variable("redis_url"): self.settings.redis_url,
            variable("metrics_port"): "0",
        }
        self._supervisor.start(Part(name, [sys.executable, "-m", "fraudsim", "worker"], env, restart=False))

    def kill_worker(self, name: str) -> None:
        """It cannot say goodbye."""
        pid = self._supervisor.pid(name)
        if pid is None:
            raise InvariantError(f"{name} has ended: {self._supervisor.last_output(name)}")
        os.kill(pid, signal.SIGKILL)

    def slots_of(self, name: str) -> list[int]:
        """The slots that the group has given to a worker; none while it is at it."""
        admin = KafkaAdminClient(bootstrap_servers=self.settings.kafka_bootstrap)
        try:
            group = admin.describe_groups([GROUP])[GROUP]
        finally:
            admin.close()
        if group["group_state"] != "Stable":
            return []
        given = [m["member_assignment"] for m in group["members"] if m["group_instance_id"] == name]
        return sorted(n for its in given for topic in its["assigned_partitions"] for n in topic["partitions"])

    def worker_cpu_s(self) -> float:
        """Processor seconds that the worker has used."""
        times = psutil.Process(self._supervisor.pid(WORKER)).cpu_times()
        return times.user + times.system

    def offsets(self) -> list[tuple[int, ...]]:
        """What each slot has folded, by source."""
        return [decode_watermark(value).offsets for value in self._of_slots(watermark_key)]

    def folded(self, slots: Sequence[int] | None = None) -> int:
        """Transactions folded by all of `slots`, by default every one."""
        n = self.settings.partitions
        every = self.offsets()
        chosen = [every[slot] for slot in (range(len(every)) if slots is None else slots)]
        return sum(min(offsets[p] for offsets in chosen) + 1 for p in range(n))

    def staleness_ms(self, slots: Sequence[int]) -> float:
        """The age of the oldest state of `slots`."""
        every = self._of_slots(fresh_key)
        return time.time() * 1000 - min(float(every[slot]) for slot in slots)

    def in_log(self) -> int:
        """Transactions in the log."""
        consumer = KafkaConsumer(bootstrap_servers=self.settings.kafka_bootstrap)
        try:
            tps = [TopicPartition(TRANSACTIONS, p) for p in range(self.settings.partitions)]
            return sum(consumer.end_offsets(tps).values())
        finally:
            consumer.close()

    def wait_until_folded(self, count: int, timeout_s: float) -> None:
        """Until every slot has folded so many transactions.

        Raises:
            InvariantError: the time is over, or the worker has ended.
        """

        def done() -> bool:
            if self._supervisor.pid(WORKER) is None:
                raise InvariantError(f"the worker has ended: {self._supervisor.last_output(WORKER)}")
            return self.folded() >= count

        if not poll_until(done, timeout_s, every_s=0.1):
            raise InvariantError(f"{self.folded():,} of {count:,} transactions are folded")

    @contextmanager
    def watched(self) -> Iterator[Watch]:
        """Watch for the length of the block; the worker runs throughout."""
        watch, stop = Watch(), threading.Event()
        worker = psutil.Process(self._supervisor.pid(WORKER))

        def look() -> None:
            while not stop.wait(EVERY_S):
                fresh = self._of_slots(fresh_key)
                now_ms = time.time() * 1000
                watch.times_s.append(time.monotonic())
                watch.staleness_ms.append([now_ms - float(value) for value in fresh])
                watch.memory_mib.append(worker.memory_info().rss / 2**20)

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        try:
            yield watch
        finally:
            stop.set()
            thread.join()

    def check_state(self, source: EvenSource, keys: int) -> int:
        """Recompute some keys' states from the source, to the byte; returns how many were compared.

        Raises:
            InvariantError: one differs.
        """
        rows: dict[tuple[str, str], list[tuple[int, ...]]] = {}
        for item in source.items():
            tx: Any = item.event
            for key in keys_of(tx):
                if key in rows or (len(rows) < keys and key[0] != "ip"):
                    rows.setdefault(key, []).append(ROW_OF[key[0]](tx))
        clock = open_clock(self.settings).clock
        for key, its in rows.items():
            stored = self.redis.get(blob_key(slot_of(*key, self.settings.slots), *key))
            state = states.fold(
                key[0], states.empty(key[0]), np.array(its, np.int64), states.NO_LABELS, clock.horizon_ms
            )
            if stored is None or states.canonical(key[0], stored, clock.horizon_ms) != states.canonical(
                key[0], states.to_bytes(state), clock.horizon_ms
            ):
                raise InvariantError(f"the state of {key[0]} {key[1]} is not that of its transactions")
        return len(rows)

    def _of_slots(self, name: Any) -> list[Any]:
        return list(self.redis.mget([name(slot) for slot in range(self.settings.slots)]))


@contextmanager
def fold_line(folder: Path, speed: float = MOST_SPEED) -> Iterator[FoldLine]:
    """Start servers and an empty state, and end all that was started; sources come at most at `speed`."""
    with Supervisor(folder / "logs") as supervisor:
        addresses = start_stack(folder / "stack", Settings(_env_file=None), supervisor)
        settings = Settings(
            _env_file=None,
            kafka_bootstrap=addresses.kafka_bootstrap,
            redis_url=addresses.redis_url,
            sender="confluent",
            log_level="ERROR",  # falling behind is a result here, no news
        )
        create_topics(settings)
        prime(settings, start_log(settings, START_MS, speed, "", "").clock.first, {}, "")
        yield FoldLine(supervisor, settings)


@contextmanager
def sending(settings: Settings, source: EvenSource, speed: float) -> Iterator[BaseProcess]:
    """A process that sends a source, or what the log lacks of it; it is stopped at the end of the block.

    Raises:
        InvariantError: it failed.
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
    send(source, settings, speed=speed, seconds=None, clock_log=open_clock(settings), stop=stop)
