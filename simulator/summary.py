"""The summary of a simulated run, with the keys of a live run's where they apply."""

import platform
from collections import Counter, defaultdict
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Final

import msgspec
import numpy as np

from fraudsim import __version__
from fraudsim.arrays import Flags, Floats
from fraudsim.log.events import ACTIONS
from model.training.ranking import area_under_roc, average_precision, card_precision_at
from producers.ledger.ledger import Ledger
from scorer.policy.policy import APPROVE
from simulator.line.decided import DecidedStretch
from stream_features.catalogue.features import DAY
from stream_features.offline.columns import codes

PACKAGES: Final = ("xgboost", "numba", "numpy", "pyarrow")
TOP: Final = 100
"""Alerts a day of which the precision is told."""


class Figures:
    """What a run comes to; every stretch is added once, when it is over.

    The scores of all decisions are kept, four bytes each: a ranking needs them all.
    """

    def __init__(self) -> None:
        self.decided = 0
        self._actions: Counter[str] = Counter()
        self._scores: list[Floats] = []
        self._frauds: list[Flags] = []
        self._by_typology: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._false_alarms = 0
        self._precision: list[tuple[float, float]] = []

    def add(self, decided: DecidedStretch) -> None:
        """Add a stretch."""
        rows = decided.present
        fraud, action = decided.stretch.is_fraud[rows], decided.action[rows]
        self.decided += int(rows.sum())
        for index, count in zip(*np.unique(action, return_counts=True), strict=True):
            self._actions[ACTIONS[int(index)]] += int(count)
        self._scores.append(decided.scores[rows])
        self._frauds.append(fraud)
        indices, names = decided.stretch.typology
        for index in np.unique(indices[rows][fraud]).tolist():
            chosen = fraud & (indices[rows] == index)
            counts = self._by_typology[names[index] or "unnamed"]
            counts["fraud"] += int(chosen.sum())
            counts["caught"] += int((chosen & (action != APPROVE)).sum())
        self._false_alarms += int(((action != APPROVE) & ~fraud).sum())
        if fraud.any():
            ts = decided.stretch.transactions["ts"].to_numpy()[rows]
            card = codes(decided.stretch.transactions, "card_id")[0][rows]
            days = (decided.stretch.end_ms - decided.stretch.start_ms) / DAY
            precision, _ = card_precision_at(TOP, ts, card, fraud, decided.scores[rows], int(ts.min()))
            self._precision.append((precision, days))

    def content(self) -> dict[str, Any]:
        """Counts and ranking figures of the whole run."""
        scores = np.concatenate(self._scores) if self._scores else np.empty(0, np.float32)
        frauds = np.concatenate(self._frauds) if self._frauds else np.empty(0, np.bool_)
        both = bool(frauds.any() and not frauds.all())
        weight = sum(days for _, days in self._precision)
        precision = sum(value * days for value, days in self._precision) / weight if weight else None
        return {
            "sent": self.decided,
            "decided": self.decided,
            "lost": 0,
            "duplicated": 0,
            "actions": {action: self._actions[action] for action in ACTIONS},
            "detection": {
                "average_precision": round(average_precision(frauds, scores), 4) if both else None,
                "auc": round(area_under_roc(frauds, scores), 4) if both else None,
                "card_precision_at_100": None if precision is None else round(precision, 4),
            },
            "by_typology": {name: dict(counts) for name, counts in sorted(self._by_typology.items())},
            "false_alarms": self._false_alarms,
        }


def ledger_content(ledger: Ledger) -> dict[str, Any]:
    """The ledger as a live run's summary has it: all but the campaigns, with the headline first."""
    content: dict[str, Any] = msgspec.to_builtins(ledger)
    del content["campaigns"]
    return {
        "net_loss_cents": ledger.total.net_loss_cents,
        "net_loss_cents_per_1000_cards_week": ledger.net_loss_rate,
        **content,
    }


def versions() -> Mapping[str, str]:
    """Versions of the programs that made the run."""
    return {
        "fraudsim": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }
