"""An archive of decisions and labels, written as an archiver does, a file for some days."""

import numpy as np
import pyarrow as pa

from fraudsim.archive.layout import LAYOUTS
from fraudsim.archive.log_files import log_files, log_folder, write_file
from fraudsim.log.topics import DECISIONS, LABELS
from stream_features.catalogue.features import DAY, NAMES

START_MS = 19_723 * DAY
CARDS, A_DAY, PARTITIONS = 40, 30, 2
AMOUNT = NAMES.index("amount")
CATEGORIES = [NAMES.index("channel"), NAMES.index("mcc")]


def decisions(day, *, factor=1.0, version="a" * 16, seed=3, **changes):
    """Rows of the decisions of a day; a card pays about the same each time."""
    rng = np.random.default_rng([seed, 1_000 + day])
    rows = []
    for i, second in enumerate(np.sort(rng.integers(0, 86_400, A_DAY)).tolist()):
        card = int(rng.integers(CARDS))
        amount = 1_000 * (1 + card) * factor * float(rng.lognormal(0, 0.2))
        vector = rng.random(len(NAMES)).astype(np.float32)
        vector[AMOUNT], vector[CATEGORIES] = amount, (1, 5_411)
        number = day * A_DAY + i
        row = {
            "tx_id": f"t{number}", "ts": START_MS + day * DAY + second * 1_000, "card_id": f"c{card}",
            "amount_cents": round(amount), "channel": "ecommerce", "score": float(rng.random() * 0.1),
            "probability": float(rng.random() * 0.1), "action": "approve", "model_version": version,
            "variant": "champion", "source_partition": card % PARTITIONS, "source_offset": number,
            "features": vector.tolist(), "degraded": False,
        }  # fmt: skip
        rows.append({**row, **changes})
    return rows


def frauds(rows, every=50, after_days=3.0):
    """Labels of fraud for some decisions, all with one delay."""
    return [
        {
            "tx_id": row["tx_id"], "card_id": row["card_id"], "ts": row["ts"], "is_fraud": True,
            "amount_cents": row["amount_cents"], "source": "customer",
            "known_at": row["ts"] + round(after_days * DAY), "merchant_id": None,
        }
        for row in rows[::every]
    ]  # fmt: skip


def write(run, topic, rows):
    """One more file of a topic."""
    log_folder(run).mkdir(parents=True, exist_ok=True)
    number = len(log_files(run, topic)) + 1
    # Offsets of the topic's own partition, going on from file to file.
    first = number * 1_000_000
    rows = [{**row, "topic": topic, "partition": 0, "offset": first + i} for i, row in enumerate(rows)]
    return write_file(run, topic, number, pa.Table.from_pylist(rows, schema=LAYOUTS[topic].schema))


def write_days(run, days, **changes):
    """A file of decisions, and one of their labels."""
    rows = [row for day in days for row in decisions(day, **changes)]
    write(run, DECISIONS, rows)
    write(run, LABELS, frauds(rows))
    return rows
