"""CPU of what Spark's tasks do, without Spark: its share of a transaction, and what Spark adds to it."""

import time
from collections.abc import Iterator
from typing import Any, Final

from fraudsim.log.clock_log import open_clock
from load_tests.benches.worker.worker_rig import WorkerRig
from stream_features.store.prime import prime
from stream_features.worker.spark.batch_plan import BatchPlan
from stream_features.worker.spark.executor_process import ExecutorProcess

RECORDS: Final = 10_000
"""Of each partition in a batch, or a quarter of a shorter one."""
TASKS: Final = ("spark's tasks alone: accept", "spark's tasks alone: fold")


def measure_tasks(rig: WorkerRig, ends: list[int]) -> Iterator[dict[str, Any]]:
    """Accept and fold the log up to `ends`, by source, in this process; the first batch is not measured."""
    segment = open_clock(rig.settings).clock.first
    prime(rig.settings, segment, {}, "", force=True)
    process = ExecutorProcess(rig.settings)
    n, starts = rig.settings.partitions, [0] * len(ends)
    accept_s = fold_s = 0.0
    measured, is_warm = 0, False
    records = max(1, min(RECORDS, max(ends) // 4))
    while starts != ends:
        batch_ends = [min(start + records, end) for start, end in zip(starts, ends, strict=True)]
        plan = BatchPlan(
            rig.settings, segment, starts, batch_ends, [0] * len(ends), [s - 1 for s in starts], None
        )
        began_s = time.process_time()
        packets = [
            packet for p in range(n) for packet in process.loop.run_until_complete(process.accept(plan, p))
        ]
        accepted_s = time.process_time()
        process.loop.run_until_complete(process.fold(plan, packets))
        if is_warm:
            accept_s += accepted_s - began_s
            fold_s += time.process_time() - accepted_s
            measured += sum(batch_ends[:n]) - sum(starts[:n])
        starts, is_warm = batch_ends, True
    process.loop.run_until_complete(process.close())
    for name, cpu_s in zip(TASKS, (accept_s, fold_s), strict=True):
        yield {
            "name": name,
            "value": round(cpu_s / measured * 1e6, 1),
            "unit": "µs of CPU a transaction",
            "measured": measured,
        }
