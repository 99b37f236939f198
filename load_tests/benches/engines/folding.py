"""Throughput, and CPU a transaction: a log that lies there is folded."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fraudsim.errors import InvariantError
from fraudsim.log.clock_log import open_clock
from fraudsim.polling import poll_until
from load_tests.benches.engines.contestants import Contestant, waiting_workers
from load_tests.benches.worker.worker_rig import WorkerRig
from producers.sources.even_source import EvenSource
from stream_features.store.prime import prime

KEYS_CHECKED: Final = 100
POLL_S: Final = 0.05
LONGEST_S: Final = 900.0


@dataclass(frozen=True)
class _Moment:
    at_s: float
    folded: int
    cpu_s: float
    redis_s: float
    kafka_s: float


def measure_folding(
    rig: WorkerRig, contestant: Contestant, folder: Path, source: EvenSource
) -> dict[str, Any]:
    """Let a contestant fold a source, which is in the log, from nothing to its end.

    Raises:
        InvariantError: it does not get ready or does not finish, or a state is wrong.
    """
    with waiting_workers(rig, contestant, folder) as names:
        result = _fold(rig, contestant, names, source.count)
        result["states_equal"] = rig.check_state(source, KEYS_CHECKED)
    return result


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


def _moment(rig: WorkerRig, names: Sequence[str]) -> _Moment:
    return _Moment(
        time.monotonic(), rig.folded(), rig.cpu_s(names), rig.cpu_s(["redis"]), rig.cpu_s(["kafka"])
    )


def _await_folded(rig: WorkerRig, names: Sequence[str], count: int) -> _Moment:
    if not poll_until(lambda: rig.folded() >= count, LONGEST_S, every_s=POLL_S):
        raise InvariantError(f"{rig.folded():,} of {count:,} transactions are folded")
    return _moment(rig, names)
