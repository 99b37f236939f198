"""`fraudsim bench catch-up`: a slot far behind the others, assigned to a worker under live traffic."""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from fraudsim.errors import InvariantError
from fraudsim.polling import poll_until
from load_tests.benches.worker.worker_rig import (
    MOST_SPEED,
    WORKER,
    WorkerRig,
    sender_process,
    start_worker_rig,
)
from load_tests.rig.machine import machine
from producers.sources.even_source import EvenSource
from stream_features.store.keys import fresh_key, watermark_key

PROTOCOL: Final = (
    "Two workers share the slots of a log that is filled and folded, and live traffic begins, open loop, at "
    "an even rate. Then one is killed, and one of its slots put back to its state before the first record; "
    "when the group's session times out, the other worker is assigned all its slots. Every 50 ms, from the "
    "kill until the slot is less than a second's traffic behind: the age of each slot's state. The other "
    "slots are those that the living worker had before; the orphaned ones, which no worker folds until they "
    "are reassigned with the slot, are stated separately. In the end every slot has folded all, and the "
    "states of 200 keys equal a recomputation."
)
NEIGHBOUR: Final = "neighbour"
"""The worker that is killed."""
KEYS_CHECKED: Final = 200
LIVE_MS: Final = 1_000
LIVE_FOR_S: Final = 10
"""Seconds of live traffic before the kill."""
ENDLESS: Final = 10**9
"""Transactions of a source that outlasts the measurement; the sender is stopped."""


def bench_catch_up(behind: int, rate: int, longest_s: float) -> dict[str, Any]:
    """The report, ready for JSON, measured on a stack of its own.

    Raises:
        InvariantError: the slot did not catch up within `longest_s`, or a state is wrong.
    """
    with tempfile.TemporaryDirectory() as folder, start_worker_rig(Path(folder)) as rig:
        slots = range(rig.settings.slots)
        empty_watermarks = {slot: rig.redis.get(watermark_key(slot)) for slot in slots}
        rig.start_worker()
        with sender_process(rig.settings, EvenSource(rate, behind), MOST_SPEED) as sender:
            sender.join()
        rig.wait_until_folded(behind, 600)
        rig.start_worker(NEIGHBOUR)
        _await(lambda: len(rig.slots_of(NEIGHBOUR)) == len(slots) // 2, 60, "two workers share the slots")
        others = rig.slots_of(WORKER)
        slot, *orphaned = rig.slots_of(NEIGHBOUR)
        with sender_process(rig.settings, EvenSource(rate, behind + ENDLESS), 1.0):
            _await(lambda: rig.log_size() > behind + LIVE_FOR_S * rate, 60, "there is live traffic")
            _await(lambda: rig.staleness_ms(slots) < LIVE_MS, 60, "all slots are live")
            with rig.watched() as watch:
                rig.kill_worker(NEIGHBOUR)
                rig.redis.delete(*rig.redis.keys(f"{{s{slot}}}:*"))
                rig.redis.mset({watermark_key(slot): empty_watermarks[slot], fresh_key(slot): b"0"})
                _await(lambda: len(rig.slots_of(WORKER)) == len(slots), 60, "the living worker has all slots")
                assigned_s = time.monotonic()
                _await(lambda: rig.staleness_ms(orphaned) < LIVE_MS, 120, "the orphaned slots are live")
                live_s = time.monotonic()
                _await(lambda: _lag(rig, others, slot) < rate, longest_s, "the slot has caught up")
                took_s = time.monotonic() - assigned_s
        sent = rig.log_size()
        rig.wait_until_folded(sent, 60)
        states_equal = rig.check_state(EvenSource(rate, sent), KEYS_CHECKED)
    staleness_ms = watch.staleness(others)
    return {
        "machine": machine(("faust-streaming", "aiokafka", "confluent-kafka")),
        "protocol": PROTOCOL,
        "configuration": {"behind": behind, "rate": rate},
        "results": [
            {
                "name": "staleness of the other slots",
                "value": round(float(np.percentile(staleness_ms, 99)), 1),
                "unit": "ms, p99",
                "p50": round(float(np.percentile(staleness_ms, 50)), 1),
                "max": round(float(staleness_ms.max()), 1),
                "orphaned_live_s": round(live_s - assigned_s, 1),
            },
            {
                "name": "catching up",
                "value": round(behind / took_s),
                "unit": "records/s",
                "seconds": round(took_s, 1),
                "states_equal": states_equal,
                "memory_mib": round(max(watch.memory_mib), 1),
            },
        ],
        "ratios": {},
    }


def _lag(rig: WorkerRig, others: Sequence[int], slot: int) -> int:
    """Number of transactions that the slot is behind the others."""
    return rig.folded(others) - rig.folded([slot])


def _await(condition: Callable[[], bool], timeout_s: float, description: str) -> None:
    if not poll_until(condition, timeout_s, every_s=0.1):
        raise InvariantError(f"not within {timeout_s:g} s: {description}")
