"""Records and measurements with programmed times."""

import numpy as np

from load_tests.load.clocks.records import DTYPE
from load_tests.load.verdict.measurement import GeneratorHealth, Measurement

START_US = 1_700_000_000_000_000


def records_of(latencies_ms, *, rate=100, delays_us=0, blocked_us=0, good=1):
    """Requests at an even rate; each is `delays_us` late, after `blocked_us` without a free sender."""
    latencies_us = (np.asarray(latencies_ms, dtype=np.float64) * 1000).astype(np.int64)
    count = len(latencies_us)
    records = np.zeros(count, dtype=DTYPE)
    records["number"] = np.arange(count)
    records["intended_us"] = START_US + np.arange(count) * 1_000_000 // rate
    records["free_us"] = np.where(
        np.asarray(blocked_us) > 0, records["intended_us"] + blocked_us, START_US - 1_000_000
    )
    records["ready_us"] = records["intended_us"] + np.asarray(blocked_us) + np.asarray(delays_us)
    records["sent_us"] = records["ready_us"]
    records["completed_us"] = records["intended_us"] + latencies_us
    records["status"] = 200
    records["good"] = good
    return records


def measurement(records, **fields):
    fields = {"kind": "http", "scheduled": len(records), "seconds": len(records) / 100, **fields}
    return Measurement(records=records, rounds=np.zeros(len(records), dtype=np.int64), **fields)


def healthy(**fields):
    return GeneratorHealth(**fields)
