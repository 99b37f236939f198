"""`fraudsim bench soak`: whether a worker's memory or lag grows under a long even load."""

import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from load_tests.benches.worker.worker_rig import sender_process, start_worker_rig
from load_tests.rig.machine import machine
from producers.sources.even_source import EvenSource

PROTOCOL: Final = (
    "One process sends synthetic transactions of 5,000 cards, 4,000 devices, 1,000 merchants and one address "
    "(a key common to all) at an even rate, open loop, through confluent-kafka, at {speed:,} event seconds a "
    "second: in a run of six minutes or more, states reach their full size within the first quarter. One "
    "worker folds all four entities; Kafka and Redis are on the same machine, and no scorer runs. Every 50 "
    "ms: the age of each slot's state, and the worker's resident memory. Memory's growth is the slope over "
    "the last three quarters. At the end everything sent is folded, and the states of 200 keys equal a "
    "recomputation."
)
KEYS_CHECKED: Final = 200
REMEMBERED_S: Final = 45 * 86_400
"""Event time that a state remembers: the longest window, and half as much again for the horizon."""


def bench_soak(rate: int, seconds: float) -> dict[str, Any]:
    """The report, ready for JSON, measured on a stack of its own."""
    speed = round(4 * REMEMBERED_S / seconds)
    source = EvenSource(rate, round(rate * seconds), speed)
    with tempfile.TemporaryDirectory() as folder, start_worker_rig(Path(folder), speed) as rig:
        rig.start_worker()
        started = time.monotonic()
        with rig.watched() as watch:
            cpu_s = rig.worker_cpu_s()
            with sender_process(rig.settings, source, speed) as sender:
                sender.join()
            took_s = time.monotonic() - started
            rig.wait_until_folded(source.count, 60)
            cpu_s = rig.worker_cpu_s() - cpu_s
        redis_mib = rig.redis.info("memory")["used_memory"] / 2**20
        states_equal = rig.check_state(source, KEYS_CHECKED)
    quarter = started + (time.monotonic() - started) / 4
    staleness_ms = watch.staleness(range(rig.settings.slots), quarter)
    growth = watch.growth_mib_per_hour(quarter)
    return {
        "machine": machine(("faust-streaming", "aiokafka", "confluent-kafka")),
        "protocol": PROTOCOL.format(speed=speed),
        "configuration": {"rate": rate, "seconds": seconds, "speed": speed},
        "results": [
            {
                "name": "worker",
                "value": round(growth, 2),
                "unit": "MiB of memory more per hour",
                "memory_mib": {
                    "a quarter in": round(_value_at(watch.times_s, watch.memory_mib, quarter), 1),
                    "end": round(float(np.median(watch.memory_mib[-200:])), 1),
                    "most": round(max(watch.memory_mib), 1),
                },
                "staleness_ms": {
                    **{f"p{p:g}": round(float(np.percentile(staleness_ms, p)), 1) for p in (50, 99, 99.9)},
                    "max": round(float(staleness_ms.max()), 1),
                },
                "cpu_us_per_transaction": round(cpu_s / source.count * 1e6, 1),
                "folded": source.count,
                "states_equal": states_equal,
                "redis_mib": round(redis_mib, 1),
            },
            {
                "name": "sender",
                "value": round(source.count / took_s),
                "unit": "transactions/s, its start included",
            },
        ],
        "ratios": {},
    }


def _value_at(times_s: list[float], values: list[float], time_s: float) -> float:
    return float(np.interp(time_s, times_s, values))
