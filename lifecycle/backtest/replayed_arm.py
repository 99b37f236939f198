"""One model over the weeks of a traffic, by the fast-forward: what it cost, by card and week."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from fraudsim.arrays import Flags, Floats, Ints
from fraudsim.errors import FraudsimError
from fraudsim.log.events import ACTIONS, Transaction
from lifecycle.backtest.typologies import TypologyByCard
from producers.labels.consequences import Consequences
from producers.ledger.account import WEEK_MS
from scorer.policy.policy import APPROVE
from simulator.line.decided import DecidedStretch
from simulator.line.line import SimulatedLine
from simulator.line.scoring import Scoring
from simulator.line.traffic import SimulatedTraffic, Stretch
from simulator.regimes import REGIMES
from stream_features.offline.columns import codes

KINDS: Final = ("fraud paid", "insults", "friction", "reviews")


@dataclass(frozen=True, eq=False)
class ReplayedStretch:
    """What was decided on one stretch; the arrays are the line's own, and final once the run is over."""

    stretch: Stretch
    prices: Ints
    action: "np.ndarray[tuple[int], np.dtype[np.int8]]"
    scores: Floats
    present: Flags
    paid: Flags
    changed: dict[int, Transaction]

    @classmethod
    def of(cls, decided: DecidedStretch) -> "ReplayedStretch":
        return cls(
            decided.stretch, decided.prices, decided.action, decided.scores, decided.present, decided.paid,
            decided.changed,
        )  # fmt: skip

    def transaction(self, row: int) -> Transaction:
        """A row's transaction as it was made."""
        return self.changed.get(row) or self.stretch.transaction(row)


@dataclass(frozen=True, eq=False)
class ReplayedArm:
    """A model's run; money in cents. Arrays by card and week have shape (cards, weeks)."""

    version: str
    card_names: list[str]
    loss: Ints
    by_kind: dict[str, Ints]
    insults: Ints
    typologies: dict[str, TypologyByCard]
    actions: dict[str, int]
    stretches: list[ReplayedStretch]

    @property
    def total_cents(self) -> int:
        return int(self.loss.sum())


def replay(
    traffic: SimulatedTraffic,
    scoring: Scoring,
    rules: Consequences,
    *,
    reacting: bool,
    on_decisions: Callable[[int], None] = lambda _: None,
) -> ReplayedArm:
    """Run one model over the traffic in real time.

    Raises:
        FraudsimError: the model gives a score that is no number.
    """
    line = SimulatedLine(traffic, REGIMES["real-time"], scoring, rules, reacting=reacting)
    stretches, decisions = [], 0
    for decided in line.run():
        _check_scores(decided, scoring.arm.model_version)
        stretches.append(ReplayedStretch.of(decided))
        decisions += int(decided.present.sum())
        on_decisions(decisions)
    return _summed(traffic, scoring.arm.model_version, stretches)


def _check_scores(decided: DecidedStretch, version: str) -> None:
    wrong = np.flatnonzero(~np.isfinite(decided.scores) | ~np.isfinite(decided.probabilities))
    if wrong.size:
        tx = decided.transaction(int(wrong[0]))
        raise FraudsimError(
            f"model {version} scores {float(decided.scores[wrong[0]])!r} on transaction {tx.tx_id} and "
            f"{wrong.size - 1:,} others: a score is a number from 0 to 1; train it again"
        )


def _summed(traffic: SimulatedTraffic, version: str, stretches: list[ReplayedStretch]) -> ReplayedArm:
    weeks = max(1, -(-traffic.days * 86_400_000 // WEEK_MS))
    index_of: dict[str, int] = {}
    parts = []
    counts = np.zeros(len(ACTIONS), np.int64)
    for item in stretches:
        code, names = codes(item.stretch.transactions, "card_id")
        to_index = np.array([index_of.setdefault(str(name), len(index_of)) for name in names], np.int64)
        ts = item.stretch.transactions["ts"].to_numpy()
        week = np.minimum((ts - traffic.start_ms) // WEEK_MS, weeks - 1).astype(np.int64)
        insulted = item.present & ~item.paid & ~item.stretch.is_fraud
        parts.append((to_index[code], week, item.prices, insulted))
        counts += np.bincount(item.action[item.present], minlength=len(ACTIONS))
    shape = (len(index_of), weeks)
    by_kind = {kind: np.zeros(shape, np.int64) for kind in KINDS}
    insults = np.zeros(shape, np.int64)
    for card, week, prices, insulted in parts:
        for number, kind in enumerate(KINDS):
            np.add.at(by_kind[kind], (card, week), prices[:, number])
        np.add.at(insults, (card[insulted], week[insulted]), 1)
    typologies: dict[str, TypologyByCard] = {}
    for item, (card, *_) in zip(stretches, parts, strict=True):
        _add_typologies(typologies, item, card, len(index_of))
    loss: Ints = np.sum([*by_kind.values()], axis=0)
    return ReplayedArm(
        version, list(index_of), loss, by_kind, insults, typologies,
        {action: int(count) for action, count in zip(ACTIONS, counts, strict=True)}, stretches,
    )  # fmt: skip


def _add_typologies(
    typologies: dict[str, TypologyByCard], item: ReplayedStretch, card: Ints, cards: int
) -> None:
    index, names = item.stretch.typology
    fraud = item.present & item.stretch.is_fraud
    for number in np.unique(index[fraud]).tolist():
        name = (names[number] if number >= 0 else None) or "unnamed"
        rows = fraud & (index == number)
        sums = typologies.setdefault(name, TypologyByCard.none(cards))
        np.add.at(sums.frauds, card[rows], 1)
        np.add.at(sums.flagged, card[rows & (item.action != APPROVE)], 1)
        np.add.at(sums.paid_cents, card[rows], item.prices[rows, 0])
