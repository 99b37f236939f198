"""What a run's archive says of its payments: fraud or not, by the truth, and when analysts postings."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from fraudsim.archive.log_files import read_log
from fraudsim.log.topics import LABELS, TRUTH
from producers.ledger.entry import UNNAMED, Fraud


def frauds_of(run_dir: Path) -> dict[str, Fraud]:
    """By the truth, every fraud of the run by its transaction."""
    truth = _readable(read_log(run_dir, TRUTH, ["tx_id", "is_fraud", "typology", "campaign_id", "error"]))
    return {
        row["tx_id"]: Fraud(row["typology"] or UNNAMED, row["campaign_id"] or "")
        for row in truth.to_pylist()
        if row["is_fraud"]
    }


def reviewed_of(run_dir: Path) -> dict[str, int]:
    """Event times of analysts' first verdicts, by transaction."""
    labels = _readable(read_log(run_dir, LABELS, ["tx_id", "source", "known_at", "error"]))
    labels = labels.filter(pc.equal(labels["source"], "analyst"))
    first = labels.group_by("tx_id").aggregate([("known_at", "min")])
    return dict(zip(first["tx_id"].to_pylist(), first["known_at_min"].to_pylist(), strict=True))


def _readable(table: pa.Table) -> pa.Table:
    return table.filter(pc.is_null(table["error"]))
