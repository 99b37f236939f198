"""`fraudsim bench catch-up`: one slot far behind the others, given to a worker that has live traffic."""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from fraudsim.errors import InvariantError
from fraudsim.waiting import poll_until
from load_tests.fold_line import MOST_SPEED, FoldLine, fold_line, sending
from load_tests.machine import machine
from producers.even_source import EvenSource
from stream_features.redis_io import applied_key, fresh_key

PROTOCOL: Final = (
    "The log is filled and folded; then one slot's keys and watermark are put back to what they were before "
    "its first record, and the worker is started anew while live traffic begins, open loop, at an even rate. "
    "Every 50 ms: the age of each slot's state. The other slots are looked at from when they have made up "
    "for the time without a worker (`others_live_s` after the live traffic began) until the slot has caught "
    "up. In the end every slot has folded all, and the states of 200 keys equal a recomputation."
)
SLOT: Final = 3
KEYS_CHECKED: Final = 200
LIVE_MS: Final = 1_000
MORE: Final = 10**9
"""More than will be sent: the sender is stopped."""


def bench_catch_up(behind: int, rate: int, longest_s: float) -> dict[str, Any]:
    """The whole report, ready for JSON, on a stack that is started for it.

    Raises:
        InvariantError: the slot was not caught up within `longest_s`, or something was folded wrongly.
    """
    with tempfile.TemporaryDirectory() as folder, fold_line(Path(folder)) as line:
        nothing = line.redis.get(applied_key(SLOT))
        line.start_worker()
        with sending(line.settings, EvenSource(rate, behind), MOST_SPEED) as sender:
            sender.join()
        line.wait_until_folded(behind, 600)
        line.stop_worker()
        line.redis.delete(*line.redis.keys(f"{{s{SLOT}}}:*"))
        line.redis.mset({applied_key(SLOT): nothing, fresh_key(SLOT): b"0"})
        others = [slot for slot in range(line.settings.slots) if slot != SLOT]
        line.start_worker()
        with line.watched() as watch, sending(line.settings, EvenSource(rate, behind + MORE), 1.0):
            began_s = time.monotonic()
            _until(lambda: line.staleness_ms(others) < LIVE_MS, 120, "the others are live")
            live_s = time.monotonic()
            _until(lambda: _lag(line, others) < rate, longest_s, "the slot has caught up")
            took_s = time.monotonic() - began_s
        sent = line.in_log()
        line.wait_until_folded(sent, 60)
        checked = line.check_state(EvenSource(rate, sent), KEYS_CHECKED)
    stale = watch.staleness(others, live_s)
    return {
        "machine": machine(("faust-streaming", "aiokafka", "confluent-kafka")),
        "protocol": PROTOCOL,
        "configuration": {"behind": behind, "rate": rate},
        "results": [
            {
                "name": "staleness of the other slots",
                "value": round(float(np.percentile(stale, 99)), 1),
                "unit": "ms, p99",
                "p50": round(float(np.percentile(stale, 50)), 1),
                "max": round(float(stale.max()), 1),
                "others_live_s": round(live_s - began_s, 1),
            },
            {
                "name": "catching up",
                "value": round(behind / took_s),
                "unit": "records/s",
                "seconds": round(took_s, 1),
                "states_equal": checked,
                "memory_mib": round(max(watch.memory_mib), 1),
            },
        ],
        "ratios": {},
    }


def _lag(line: FoldLine, others: Sequence[int]) -> int:
    """By how many transactions the slot is behind the others."""
    return line.folded(others) - line.folded([SLOT])


def _until(condition: Callable[[], bool], longest_s: float, what: str) -> None:
    if not poll_until(condition, longest_s, every_s=0.1):
        raise InvariantError(f"not within {longest_s:g} s: {what}")
