"""`fraudsim bench reader`: feature reads at an even rate, beside sorted sets read window by window."""

import asyncio
import multiprocessing
import statistics
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from redis import Redis
from redis import asyncio as async_redis

from fraudsim.errors import InvariantError
from fraudsim.log.clock import horizon_ms
from fraudsim.log.events import Segment, Transaction, decode_transaction, encoder
from fraudsim.settings import Settings
from load_tests.benches.features.sorted_sets import add_transactions, aggregates, query_windows
from load_tests.benches.features.traffic import SEED, Traffic, make_traffic
from load_tests.rig.cores import pin, usable_cores
from load_tests.rig.machine import machine
from runner.stack.stack import start_stack
from runner.supervise.supervisor import Supervisor
from stream_features.catalogue.features import NAMES, WINDOWED
from stream_features.encode import ROW_OF
from stream_features.kernels import state as states
from stream_features.kernels.state import NO_LABELS, warm_up_kernel
from stream_features.online.reader import FeatureReader
from stream_features.online.unfolded_log import UnfoldedLog
from stream_features.store.connection import RedisClient
from stream_features.store.prime import StateTable, prime
from stream_features.store.state_store import StateStore
from stream_features.vector import keys_of

PROTOCOL: Final = (
    "Redis holds the world's transactions twice: as the feature state, and as a sorted set per card, device, "
    "merchant and address. Transactions of random cards, a millisecond after the last one, are read at an "
    "even rate, open loop: latency counts from the intended time to the finished values, so a contestant "
    "that cannot hold the rate falls ever further behind (`reached`, reads/s). Ours is the scorer's reader: "
    "one MGET of states and watermarks, then every feature. The rival asks for each window of each entity by "
    "ZRANGEBYSCORE, in one pipeline, and computes count, sum, max and distinct cards and merchants of it; "
    "redis-py's asyncio client with hiredis for both. Each is a process pinned to one core, Redis to "
    "another. The card's counts of both must be equal. In turns; medians."
)
CONTESTANTS: Final = ("fraudsim", "redis sorted sets")
PARTITIONS: Final = 4
PROBES: Final = 2_000
CONNECTIONS: Final = 16
"""Of the rival; a read without a free connection waits."""
WARM_S: Final = 1.0
"""Warm-up at the rate, not measured."""
COUNTED: Final = [NAMES.index(f"card_count_{window}") for window in ("1m", "5m", "1h", "24h", "7d", "30d")]
"""Indices of the card's counts in the vector, by ascending window."""

Read = Callable[[Transaction], Awaitable[list[float]]]


def bench_reader(
    rates: Sequence[int], seconds: float, turns: int, *, events: int = 100_000, cards: int = 10_000
) -> dict[str, Any]:
    """The report, ready for JSON, measured on a stack of its own.

    Raises:
        InvariantError: the card counts of the contestants differ.
    """
    traffic = make_traffic(events, cards)
    probes = encoder.encode(probes_of(traffic, PROBES))
    core, *other_cores = usable_cores()
    contestants = [(name, rate) for rate in rates for name in CONTESTANTS]
    measured: dict[tuple[str, int], list[dict[str, float]]] = {contestant: [] for contestant in contestants}
    context = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory(prefix="fraudsim-bench-") as folder,
        Supervisor(Path(folder) / "logs") as supervisor,
    ):
        url = start_stack(Path(folder) / "stack", Settings(_env_file=None), supervisor).redis_url
        redis_pid = supervisor.pid("redis")
        if redis_pid is not None and other_cores:
            pin(redis_pid, other_cores[0])
        segment = fill_redis(url, traffic)
        for _ in range(turns):
            for name, rate in contestants:
                with context.Pool(1) as pool:
                    arguments = (name, url, segment, probes, rate, seconds, core)
                    measured[name, rate].append(pool.apply(run_turn, arguments))
    count_sums = {name: turn["counted"] for (name, _), figures in measured.items() for turn in figures}
    if len(set(count_sums.values())) != 1:
        raise InvariantError(f"bench reader: the cards' counts differ, summed: {count_sums}")
    results = [_result(name, rate, turn_figures) for (name, rate), turn_figures in measured.items()]
    return {
        "machine": machine(("redis", "hiredis", "numba", "uvloop")),
        "protocol": PROTOCOL,
        "configuration": {
            "events": events,
            "cards": len(traffic.cards()),
            "rates": list(rates),
            "seconds": seconds,
            "turns": turns,
            "seed": SEED,
        },
        "results": results,
        "ratios": {
            f"{rival['name']}, {rate} reads/s, {figure}": round(rival[figure] / ours[figure], 2)
            for rate in rates
            for ours, rival in [[r for r in results if r["rate"] == rate]]
            for figure in ("p50_ms", "p99_ms", "cpu_us")
        },
    }


def probes_of(traffic: Traffic, count: int) -> list[Transaction]:
    """Copies of random transactions of the log, a millisecond after the last one."""
    rng = np.random.default_rng(SEED)
    ts = traffic.transactions[-1].ts + 1
    indices = rng.integers(0, len(traffic.transactions), count)
    return [
        msgspec.structs.replace(traffic.transactions[index], tx_id=f"probe-{number}", ts=ts)
        for number, index in enumerate(indices.tolist())
    ]


def fill_redis(url: str, traffic: Traffic) -> Segment:
    """Write the traffic as feature state and as sorted sets. Returns the clock segment of the state."""
    horizon = horizon_ms(1.0)
    segment = Segment(
        log_id=uuid.uuid4().hex, number=0, event_epoch_ms=traffic.transactions[-1].ts, wall_epoch_ms=0,
        speed=0.0, past_ms=0, future_ms=0, horizon_ms=horizon,
    )  # fmt: skip
    settings = Settings(_env_file=None, redis_url=url, partitions=PARTITIONS)
    prime(settings, segment, state_of(traffic, horizon), "")
    pipe = Redis.from_url(url).pipeline(transaction=False)
    for start in range(0, len(traffic.transactions), 1_000):
        add_transactions(pipe, traffic.transactions[start : start + 1_000])
        pipe.execute()
    return segment


def state_of(traffic: Traffic, horizon: int) -> StateTable:
    """Every key's state after all transactions."""
    rows: dict[tuple[str, str], list[tuple[int, ...]]] = defaultdict(list)
    for tx in traffic.transactions:
        for key in keys_of(tx):
            rows[key].append(ROW_OF[key[0]](tx))
    return {
        key: states.fold(key[0], states.empty(key[0]), np.array(key_rows, np.int64), NO_LABELS, horizon)
        for key, key_rows in rows.items()
    }


def run_turn(
    name: str, url: str, segment: Segment, probes: bytes, rate: int, seconds: float, core: int
) -> dict[str, float]:
    """One turn of one contestant, in a process of its own: latencies, ms, and CPU per read, µs."""
    import os

    import uvloop

    pin(os.getpid(), core)
    transactions = [decode_transaction(msgspec.json.encode(event)) for event in msgspec.json.decode(probes)]
    warm_up_kernel()
    return uvloop.run(_turn(name, url, segment, transactions, rate, seconds))


async def _turn(
    name: str, url: str, segment: Segment, probes: Sequence[Transaction], rate: int, seconds: float
) -> dict[str, float]:
    read = our_read(url, segment) if name == "fraudsim" else rival_read(url)
    count_sum = sum([sum(await read(tx)) for tx in probes[:100]])
    await paced(read, probes, rate, WARM_S)
    cpu_before_s = time.process_time()
    started_s = time.perf_counter()
    latencies_ms = await paced(read, probes, rate, seconds)
    took_s = time.perf_counter() - started_s
    used_s = time.process_time() - cpu_before_s
    p50, p99, p999 = np.percentile(latencies_ms, [50, 99, 99.9]).tolist()
    return {
        "p50_ms": p50,
        "p99_ms": p99,
        "p999_ms": p999,
        "cpu_us": used_s / len(latencies_ms) * 1e6,
        "reads": len(latencies_ms),
        "reached": len(latencies_ms) / took_s,
        "counted": count_sum,
    }


def our_read(url: str, segment: Segment) -> Read:
    """The scorer's reader; its unfolded log is empty, as the state holds the whole log."""
    settings = Settings(_env_file=None)
    reader = FeatureReader(
        StateStore(RedisClient.with_long_timeouts(url)),
        UnfoldedLog(PARTITIONS, settings.tail_max_records), segment,
        partitions=PARTITIONS, slots=settings.slots, pending_wait_ms=settings.pending_wait_ms,
    )  # fmt: skip

    async def read(tx: Transaction) -> list[float]:
        (reading,) = await reader.read([tx])
        return [float(reading.features[index]) for index in COUNTED]

    return read


def rival_read(url: str) -> Read:
    """A reader of sorted sets, window by window."""
    pool = async_redis.BlockingConnectionPool.from_url(url, max_connections=CONNECTIONS, timeout=None)
    redis = async_redis.Redis(connection_pool=pool)

    async def read(tx: Transaction) -> list[float]:
        pipe = redis.pipeline(transaction=False)
        queries = query_windows(pipe, tx)
        windows = [aggregates(members, tx) for members in await pipe.execute()]
        return [
            float(count)
            for (entity, _), (count, *_) in zip(queries, windows, strict=True)
            if entity == WINDOWED[0]
        ]

    return read


async def paced(read: Read, probes: Sequence[Transaction], rate: int, seconds: float) -> list[float]:
    """Start reads at an even rate, whether or not earlier ones are done.

    Returns:
        Latencies from the intended times, ms.
    """
    latencies: list[float] = []
    running: set[asyncio.Task[None]] = set()
    started = time.perf_counter()

    async def timed_read(tx: Transaction, due: float) -> None:
        await read(tx)
        latencies.append((time.perf_counter() - due) * 1e3)

    for number in range(round(rate * seconds)):
        due = started + number / rate
        wait = due - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        task = asyncio.create_task(timed_read(probes[number % len(probes)], due))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    return latencies


def _result(name: str, rate: int, turns: list[dict[str, float]]) -> dict[str, Any]:
    """Medians over the turns, and the median latency of each turn."""
    names = ("p50_ms", "p99_ms", "p999_ms", "cpu_us", "reads", "reached")
    medians = {figure: round(statistics.median(turn[figure] for turn in turns), 3) for figure in names}
    return {
        "name": name,
        "rate": rate,
        "value": medians["p50_ms"],
        "unit": "ms",
        **medians,
        "turns": [round(turn["p50_ms"], 3) for turn in turns],
    }
