"""A file in the Handbook's layout whose transactions come in bursts."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

DAYS, CUSTOMERS, TERMINALS = 12, 60, 25
LIVE_DAYS = DAYS / 3


def write_bursts(path: Path, *, whole_seconds: bool = False) -> Path:
    """Write bursts of ten transactions of a card within milliseconds, equal times among them, and pairs.

    With `whole_seconds`, every time is cut to its second, so that most of a burst has one time.
    """
    rng = np.random.default_rng(5)
    start = datetime(2018, 4, 1)
    rows: list[tuple[datetime, int, int, float, int]] = []
    for _ in range(DAYS * 70):
        time = start + timedelta(seconds=float(rng.uniform(0, DAYS * 86_400 - 60)))
        customer, fraud = int(rng.integers(CUSTOMERS)), int(rng.random() < 0.06)
        gaps_ms = rng.choice([0, 1, 1, 2], 10) if rng.random() < 0.5 else rng.choice([0, 40_000], 2)
        for gap_ms in gaps_ms:
            time += timedelta(milliseconds=int(gap_ms))
            terminal = int(rng.integers(TERMINALS)) if rng.random() < 0.5 else 0
            amount = round(float(rng.lognormal(5.5 if fraud else 3.5, 0.6)), 2)
            row_time = time.replace(microsecond=0) if whole_seconds else time
            rows.append((row_time, customer, terminal, amount, fraud))
    rows.sort(key=lambda row: row[0])
    times, customers, terminals, amounts, frauds = zip(*rows, strict=True)
    seconds = [int((time - start).total_seconds()) for time in times]
    table = pa.table(
        {
            "TRANSACTION_ID": pa.array(range(len(rows)), pa.int64()),
            "TX_DATETIME": pa.array(times, pa.timestamp("ms")),
            "CUSTOMER_ID": pa.array([str(customer) for customer in customers]),
            "TERMINAL_ID": pa.array([str(terminal) for terminal in terminals]),
            "TX_AMOUNT": pa.array(amounts, pa.float64()),
            "TX_TIME_SECONDS": pa.array(seconds, pa.int64()),
            "TX_TIME_DAYS": pa.array([second // 86_400 for second in seconds], pa.int64()),
            "TX_FRAUD": pa.array(frauds, pa.int64()),
            "TX_FRAUD_SCENARIO": pa.array([3 * fraud for fraud in frauds], pa.int64()),
        }
    )
    pq.write_table(table, path)
    return path


def count_live_rows(path: Path) -> int:
    """The number of transactions that a replay sends; the days before them become the history."""
    days = pq.read_table(path)["TX_TIME_DAYS"].to_numpy()
    return int((days >= DAYS - LIVE_DAYS).sum())
