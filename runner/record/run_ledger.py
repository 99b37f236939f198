"""The ledger of an archived run, by the truth."""

import json
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from fraudsim.archive.log_files import log_folder, read_log
from fraudsim.errors import FraudsimError
from fraudsim.log.topics import LABELS, TRUTH
from fraudsim.settings import Settings
from fraudsim.whole_files import write_whole
from producers.history.reader import read_history
from producers.labels.consequences import Consequences
from producers.labels.outcome import DecidedPayment
from producers.ledger.account import Basis
from producers.ledger.book import JudgedPayment, entries_of
from producers.ledger.entry import UNNAMED, Fraud
from producers.ledger.ledger import Ledger, ledger_of
from producers.world.settings import consequences
from stream_features.offline.archived_log import first_decisions

LEDGER_FILE: Final = "ledger.json"
_COLUMNS: Final = [
    "tx_id", "ts", "card_id", "amount_cents", "action", "score", "source_offset", "merchant_id", "channel",
    "rule_hits",
]  # fmt: skip


def run_ledger(run_dir: Path, settings: Settings) -> Ledger:
    """The ledger of what the run's stream decided.

    HTTP clients' transactions are left out: the truth says nothing about them. The consequences are the
    run's; those of the settings for a run that recorded none.

    Raises:
        FraudsimError: the folder is no run's.
    """
    if not log_folder(run_dir).is_dir():
        raise FraudsimError(f"{run_dir} has no log folder: name the folder of a run")
    rules, seed = _rules(run_dir, settings)
    decisions = first_decisions(run_dir)
    decisions = decisions.filter(pc.equal(decisions["via"], "stream"))
    frauds = _frauds(run_dir)
    payments = [_payment(row) for row in decisions.select(_COLUMNS).to_pylist()]
    judged = [JudgedPayment(payment, frauds.get(payment.tx_id)) for payment in payments]
    times = [payment.ts for payment in payments]
    basis = Basis(
        read_history(run_dir / "history").manifest.cards, max(times) - min(times) + 1 if times else 0
    )
    return ledger_of(entries_of(judged, rules, seed, _reviewed(run_dir)), basis)


def write_ledger(run_dir: Path, ledger: Ledger) -> Path:
    """Write the ledger with all campaigns as `ledger.json`; returns its path."""
    path = run_dir / LEDGER_FILE
    write_whole(path, msgspec.json.format(msgspec.json.encode(ledger)).decode() + "\n")
    return path


def ledger_figures(ledger: Ledger) -> dict[str, Any]:
    """The ledger in `summary.json`: all but the campaigns, with the headline first."""
    content: dict[str, Any] = msgspec.to_builtins(ledger)
    del content["campaigns"]
    headline = {
        "net_loss_cents": ledger.total.net_loss_cents,
        "net_loss_cents_per_1000_cards_week": ledger.net_loss_rate,
    }
    return headline | content


def _rules(run_dir: Path, settings: Settings) -> tuple[Consequences, int]:
    try:
        recorded = json.loads((run_dir / "manifest.json").read_text())["settings"]
    except (OSError, ValueError, KeyError):
        recorded = {}
    updates = {name: recorded[name] for name in ("consequences", "seed") if name in recorded}
    settings = settings.model_copy(update=updates)
    return consequences(settings), settings.seed


def _payment(row: dict[str, Any]) -> DecidedPayment:
    return DecidedPayment(**{**row, "rule_hits": row["rule_hits"] or []})


def _frauds(run_dir: Path) -> dict[str, Fraud]:
    truth = _readable(read_log(run_dir, TRUTH, ["tx_id", "is_fraud", "typology", "campaign_id", "error"]))
    return {
        row["tx_id"]: Fraud(row["typology"] or UNNAMED, row["campaign_id"] or "")
        for row in truth.to_pylist()
        if row["is_fraud"]
    }


def _reviewed(run_dir: Path) -> dict[str, int]:
    """Event times of analysts' first verdicts, by transaction."""
    labels = _readable(read_log(run_dir, LABELS, ["tx_id", "source", "known_at", "error"]))
    labels = labels.filter(pc.equal(labels["source"], "analyst"))
    first = labels.group_by("tx_id").aggregate([("known_at", "min")])
    return dict(zip(first["tx_id"].to_pylist(), first["known_at_min"].to_pylist(), strict=True))


def _readable(table: pa.Table) -> pa.Table:
    return table.filter(pc.is_null(table["error"]))
