"""The ledger of an archived run, by the truth."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow.compute as pc

from fraudsim.archive.log_files import log_folder
from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from fraudsim.whole_files import write_whole
from producers.history.reader import read_history
from producers.labels.consequences import Consequences
from producers.labels.divided_desk import ArmShare
from producers.labels.outcome import DecidedPayment
from producers.ledger.account import Basis
from producers.ledger.book import Posting, entries_of
from producers.ledger.entry import Entry
from producers.ledger.ledger import Ledger, ledger_of
from producers.world.settings import consequences
from runner.ledger.run_payments import frauds_of, reviewed_of
from stream_features.offline.archived_log import first_decisions

LEDGER_FILE: Final = "ledger.json"
COLUMNS: Final = [
    "tx_id", "ts", "card_id", "amount_cents", "action", "score", "source_offset", "merchant_id", "channel",
    "rule_hits", "assignment",
]  # fmt: skip
"""Of a decision in the archive, what its outcome depends on."""


def run_ledger(run_dir: Path, settings: Settings) -> Ledger:
    """The ledger of what the run's stream decided.

    HTTP clients' transactions are left out: the truth says nothing about them. The consequences are the
    run's; those of the settings for a run that recorded none.

    Raises:
        FraudsimError: the folder is no run's.
    """
    entries = run_entries(run_dir, settings)
    return ledger_of(entries, basis_of(run_dir, [entry.payment for entry in entries]))


def run_entries(run_dir: Path, settings: Settings) -> list[Entry]:
    """The entries of that ledger, one for each payment.

    Raises:
        FraudsimError: the folder is no run's.
    """
    if not log_folder(run_dir).is_dir():
        raise FraudsimError(f"{run_dir} has no log folder: name the folder of a run")
    rules, seed = rules_of(run_dir, settings)
    decisions = first_decisions(run_dir)
    decisions = decisions.filter(pc.equal(decisions["via"], "stream"))
    frauds = frauds_of(run_dir)
    payments = [_payment(row) for row in decisions.select(COLUMNS).to_pylist()]
    postings = [Posting(payment, frauds.get(payment.tx_id)) for payment in payments]
    return entries_of(postings, rules, seed, reviewed_of(run_dir))


def basis_of(run_dir: Path, payments: Sequence[DecidedPayment]) -> Basis:
    """The cards of the run's world, and the event time from the first payment to the last."""
    times = [payment.ts for payment in payments]
    cards = read_history(run_dir / "history").manifest.cards
    return Basis(cards, max(times) - min(times) + 1 if times else 0)


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


def rules_of(run_dir: Path, settings: Settings) -> tuple[Consequences, int]:
    """The consequences and the seed of a run; those of the settings where it recorded none."""
    try:
        recorded = json.loads((run_dir / "manifest.json").read_text())["settings"]
    except (OSError, ValueError, KeyError):
        recorded = {}
    updates = {name: recorded[name] for name in ("consequences", "seed") if name in recorded}
    settings = settings.model_copy(update=updates)
    return consequences(settings), settings.seed


def _payment(row: dict[str, Any]) -> DecidedPayment:
    text = row["assignment"]
    arm = None if text is None else msgspec.json.decode(text, type=ArmShare)
    return DecidedPayment(**{**row, "rule_hits": row["rule_hits"] or [], "assignment": arm})
