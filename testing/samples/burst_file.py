"""A file in the Handbook's layout whose transactions come in bursts."""

from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

DAYS, CUSTOMERS, TERMINALS = 12, 60, 25
LIVE_DAYS = DAYS / 3


def write_bursts(path, *, whole_seconds=False):
    """Ten transactions of a card within some milliseconds, equal timestamps among them, and single ones.

    With `whole_seconds` every time is cut to its second: most of a burst is then of one instant.
    """
    rng = np.random.default_rng(5)
    start = datetime(2018, 4, 1)
    rows = []
    for _ in range(DAYS * 70):
        at = start + timedelta(seconds=float(rng.uniform(0, DAYS * 86_400 - 60)))
        customer, fraud = int(rng.integers(CUSTOMERS)), int(rng.random() < 0.06)
        gaps = rng.choice([0, 1, 1, 2], 10) if rng.random() < 0.5 else rng.choice([0, 40_000], 2)
        for gap in gaps:
            at += timedelta(milliseconds=int(gap))
            terminal = int(rng.integers(TERMINALS)) if rng.random() < 0.5 else 0
            amount = round(float(rng.lognormal(5.5 if fraud else 3.5, 0.6)), 2)
            rows.append(
                (at.replace(microsecond=0) if whole_seconds else at, customer, terminal, amount, fraud)
            )
    rows.sort(key=lambda row: row[0])
    times, customers, terminals, amounts, frauds = zip(*rows, strict=True)
    seconds = [int((t - start).total_seconds()) for t in times]
    table = pa.table(
        {
            "TRANSACTION_ID": pa.array(range(len(rows)), pa.int64()),
            "TX_DATETIME": pa.array(times, pa.timestamp("ms")),
            "CUSTOMER_ID": pa.array([str(c) for c in customers]),
            "TERMINAL_ID": pa.array([str(t) for t in terminals]),
            "TX_AMOUNT": pa.array(amounts, pa.float64()),
            "TX_TIME_SECONDS": pa.array(seconds, pa.int64()),
            "TX_TIME_DAYS": pa.array([s // 86_400 for s in seconds], pa.int64()),
            "TX_FRAUD": pa.array(frauds, pa.int64()),
            "TX_FRAUD_SCENARIO": pa.array([3 * f for f in frauds], pa.int64()),
        }
    )
    pq.write_table(table, path)
    return path


def live_rows(path):
    """How many of the file's transactions are replayed; the days before are the history."""
    days = pq.read_table(path)["TX_TIME_DAYS"].to_numpy()
    return int((days >= DAYS - LIVE_DAYS).sum())
