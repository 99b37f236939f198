"""Age of the state under live traffic."""

import time
from typing import Any, Final

import numpy as np

from fraudsim.errors import InvariantError
from fraudsim.polling import poll_until
from load_tests.benches.engines.contestants import READY_S, Contestant
from load_tests.benches.worker.worker_rig import WorkerRig, sender_process
from producers.sources.even_source import EvenSource

WARM_S: Final = 10.0
READY_AGE_MS: Final = 2_000
"""A contestant whose state is younger than this before there is traffic is at work."""


def measure_freshness(
    rig: WorkerRig, contestant: Contestant, source: EvenSource, seconds: float
) -> dict[str, Any]:
    """Watch a contestant's state while an endless source is sent, for `seconds` or two triggers.

    Raises:
        InvariantError: it does not get ready, or folds nothing.
    """
    name, slots = contestant.word, range(rig.settings.slots)
    watch_s = max(seconds, 2 * contestant.trigger_s)
    rig.start_worker(name, contestant.options(None))
    try:
        if not poll_until(lambda: rig.staleness_ms(slots) < READY_AGE_MS, READY_S, every_s=0.1):
            raise InvariantError(f"{contestant.name} is not ready within {READY_S:g} s")
        with sender_process(rig.settings, source, 1.0):
            before = rig.folded()
            if not poll_until(lambda: rig.folded() > before, READY_S, every_s=0.1):
                raise InvariantError(f"{contestant.name} has folded nothing within {READY_S:g} s")
            time.sleep(WARM_S)
            folded, cpu_s = rig.folded(), rig.cpu_s([name])
            with rig.watched(name) as watch:
                time.sleep(watch_s)
            folded, cpu_s = rig.folded() - folded, rig.cpu_s([name]) - cpu_s
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
        "measured": folded,
        "seconds": round(watch_s, 1),
    }
