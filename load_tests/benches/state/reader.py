"""`fraudsim bench reader`: features read at a steady rate, beside sorted sets read window by window."""

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
from load_tests.benches.features.bench import cores, pin
from load_tests.benches.features.traffic import SEED, Traffic, make_traffic
from load_tests.benches.state.sorted_sets import aggregates, put, windows_of
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
    "even rate, open loop: latency counts from the intended time to the finished values, so one who "
    "cannot hold the rate falls behind for as long as it lasts (`reached`, reads/s). Ours is the scorer's "
    "reader: one MGET of states and watermarks, then every feature. The rival asks for each window "
    "of each entity by ZRANGEBYSCORE, in one pipeline, and computes count, sum, max and distinct cards and "
    "merchants of it; redis-py's asyncio client with hiredis for both. Each is a process pinned to one core, "
    "Redis to another. The card's counts of both must be equal. In turns; medians."
)
CONTESTANTS: Final = ("fraudsim", "redis sorted sets")
PARTITIONS: Final = 4
PROBES: Final = 2_000
CONNECTIONS: Final = 16
"""Of the rival; who finds none waits."""
WARM_S: Final = 1.0
"""At the rate, before anything counts."""
COUNTED: Final = [NAMES.index(f"card_count_{window}") for window in ("1m", "5m", "1h", "24h", "7d", "30d")]
"""Places of the card's counts in the vector, by ascending window."""

Read = Callable[[Transaction], Awaitable[list[float]]]


def bench_reader(
    rates: Sequence[int], seconds: float, turns: int, *, events: int = 100_000, cards: int = 10_000
) -> dict[str, Any]:
    """The whole report, ready for JSON, measured on a stack of its own.

    Raises:
        InvariantError: a card's counts differ.
    """
    traffic = make_traffic(events, cards)
    probes = encoder.encode(probes_of(traffic, PROBES))
    core, *others = cores()
    contestants = [(name, rate) for rate in rates for name in CONTESTANTS]
    measured: dict[tuple[str, int], list[dict[str, float]]] = {each: [] for each in contestants}
    context = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory(prefix="fraudsim-bench-") as folder,
        Supervisor(Path(folder) / "logs") as supervisor,
    ):
        url = start_stack(Path(folder) / "stack", Settings(_env_file=None), supervisor).redis_url
        redis_pid = supervisor.pid("redis")
        if redis_pid is not None and others:
            pin(redis_pid, others[0])
        segment = fill_redis(url, traffic)
        for _ in range(turns):
            for name, rate in contestants:
                with context.Pool(1) as pool:
                    given = (name, url, segment, probes, rate, seconds, core)
                    measured[name, rate].append(pool.apply(run_turn, given))
    counted = {name: turn["counted"] for (name, _), each in measured.items() for turn in each}
    if len(set(counted.values())) != 1:
        raise InvariantError(f"bench reader: the cards' counts differ, summed: {counted}")
    results = [_result(name, rate, each) for (name, rate), each in measured.items()]
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
            f"{rival['name']}, {rate} reads/s, {what}": round(rival[what] / ours[what], 2)
            for rate in rates
            for ours, rival in [[r for r in results if r["rate"] == rate]]
            for what in ("p50_ms", "p99_ms", "cpu_us")
        },
    }


def probes_of(traffic: Traffic, count: int) -> list[Transaction]:
    """Transactions like those of the log, each of a random one's card, merchant, …, just after the last."""
    rng = np.random.default_rng(SEED)
    ts = traffic.transactions[-1].ts + 1
    chosen = rng.integers(0, len(traffic.transactions), count)
    return [
        msgspec.structs.replace(traffic.transactions[at], tx_id=f"probe-{number}", ts=ts)
        for number, at in enumerate(chosen.tolist())
    ]


def fill_redis(url: str, traffic: Traffic) -> Segment:
    """Write the traffic as feature state and as sorted sets. Returns the segment that the state is of."""
    horizon = horizon_ms(1.0)
    segment = Segment(
        log_id=uuid.uuid4().hex, number=0, event_epoch_ms=traffic.transactions[-1].ts, wall_epoch_ms=0,
        speed=0.0, past_ms=0, future_ms=0, horizon_ms=horizon,
    )  # fmt: skip
    settings = Settings(_env_file=None, redis_url=url, partitions=PARTITIONS)
    prime(settings, segment, state_of(traffic, horizon), "")
    pipe = Redis.from_url(url).pipeline(transaction=False)
    for start in range(0, len(traffic.transactions), 1_000):
        put(pipe, traffic.transactions[start : start + 1_000])
        pipe.execute()
    return segment


def state_of(traffic: Traffic, horizon: int) -> StateTable:
    """Every key's state after all transactions."""
    rows: dict[tuple[str, str], list[tuple[int, ...]]] = defaultdict(list)
    for tx in traffic.transactions:
        for key in keys_of(tx):
            rows[key].append(ROW_OF[key[0]](tx))
    return {
        key: states.fold(key[0], states.empty(key[0]), np.array(its, np.int64), NO_LABELS, horizon)
        for key, its in rows.items()
    }


def run_turn(
    name: str, url: str, segment: Segment, probes: bytes, rate: int, seconds: float, core: int
) -> dict[str, float]:
    """In a process of its own: latencies of one contestant, ms, and its CPU per read, µs."""
    import os

    import uvloop

    pin(os.getpid(), core)
    every = [decode_transaction(msgspec.json.encode(each)) for each in msgspec.json.decode(probes)]
    warm_up_kernel()
    return uvloop.run(_turn(name, url, segment, every, rate, seconds))


async def _turn(
    name: str, url: str, segment: Segment, probes: Sequence[Transaction], rate: int, seconds: float
) -> dict[str, float]:
    read = our_read(url, segment) if name == "fraudsim" else rival_read(url)
    counted = sum([sum(await read(tx)) for tx in probes[:100]])
    await paced(read, probes, rate, WARM_S)
    cpu_before_s = time.process_time()
    began_s = time.perf_counter()
    latencies_ms = await paced(read, probes, rate, seconds)
    took_s = time.perf_counter() - began_s
    used_s = time.process_time() - cpu_before_s
    p50, p99, p999 = np.percentile(latencies_ms, [50, 99, 99.9]).tolist()
    return {
        "p50_ms": p50,
        "p99_ms": p99,
        "p999_ms": p999,
        "cpu_us": used_s / len(latencies_ms) * 1e6,
        "reads": len(latencies_ms),
        "reached": len(latencies_ms) / took_s,
        "counted": counted,
    }


def our_read(url: str, segment: Segment) -> Read:
    """The scorer's reader; its tail is empty, as the state holds the whole log."""
    settings = Settings(_env_file=None)
    reader = FeatureReader(
        StateStore(RedisClient.with_long_timeouts(url)),
        UnfoldedLog(PARTITIONS, settings.tail_max_records), segment,
        partitions=PARTITIONS, slots=settings.slots, pending_wait_ms=settings.pending_wait_ms,
    )  # fmt: skip

    async def read(tx: Transaction) -> list[float]:
        (reading,) = await reader.read([tx])
        return [float(reading.features[place]) for place in COUNTED]

    return read


def rival_read(url: str) -> Read:
    """Sorted sets, window by window."""
    pool = async_redis.BlockingConnectionPool.from_url(url, max_connections=CONNECTIONS, timeout=None)
    redis = async_redis.Redis(connection_pool=pool)

    async def read(tx: Transaction) -> list[float]:
        pipe = redis.pipeline(transaction=False)
        asked = windows_of(pipe, tx)
        found = [aggregates(members, tx) for members in await pipe.execute()]
        return [float(its[0]) for (entity, _), its in zip(asked, found, strict=True) if entity == WINDOWED[0]]

    return read


async def paced(read: Read, probes: Sequence[Transaction], rate: int, seconds: float) -> list[float]:
    """Read at an even rate, whoever is not done yet; latencies from the intended time, ms."""
    latencies: list[float] = []
    running: set[asyncio.Task[None]] = set()
    began = time.perf_counter()

    async def one(tx: Transaction, due: float) -> None:
        await read(tx)
        latencies.append((time.perf_counter() - due) * 1e3)

    for number in range(round(rate * seconds)):
        due = began + number / rate
        wait = due - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        task = asyncio.create_task(one(probes[number % len(probes)], due))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    return latencies


def _result(name: str, rate: int, turns: list[dict[str, float]]) -> dict[str, Any]:
    """Medians over the turns; the median latency of each turn beside."""
    names = ("p50_ms", "p99_ms", "p999_ms", "cpu_us", "reads", "reached")
    middle = {each: round(statistics.median(turn[each] for turn in turns), 3) for each in names}
    return {
        "name": name,
        "rate": rate,
        "value": middle["p50_ms"],
        "unit": "ms",
        **middle,
        "turns": [round(turn["p50_ms"], 3) for turn in turns],
    }
