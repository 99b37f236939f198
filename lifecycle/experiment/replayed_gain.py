"""The offline gain of a simulated experiment: B's answers to what A decided, by the truth."""

from collections import defaultdict

import numpy as np
import pyarrow as pa

from fraudsim.arrays import Doubles, Flags, Ints
from lifecycle.backtest.verdict import paired_by_card
from lifecycle.evidence.money import DifferenceReading, OfflineGain
from lifecycle.experiment.both_arms import BothAnswers
from model.artefact.costs import Costs, expected_costs
from producers.labels.consequences import Consequences
from simulator.line.decided import DecidedStretch
from simulator.line.scoring import PaymentColumns


class ReplayedGain:
    """Sums by card what another answer would have cost more, on the days on which the card was A's."""

    def __init__(self, rules: Consequences) -> None:
        self._costs = Costs.of(rules)
        self._change: defaultdict[str, float] = defaultdict(float)
        self._cards: set[str] = set()
        self._days = 0

    def add_day(self, decided: DecidedStretch, rows: Ints, answers: BothAnswers, of_a: Flags) -> None:
        """Take in a day.

        Args:
            rows: on which both models were asked, shape (n,).
            of_a: which of them A decided, shape (n,).
        """
        self._days += 1
        table = decided.stretch.transactions
        self._cards.update(table["card_id"].take(pa.array(rows[of_a])).unique().to_pylist())
        other, change = answered_otherwise(decided, rows, answers, of_a, self._costs)
        for row, cents in zip(other.tolist(), change.tolist(), strict=True):
            self._change[decided.transaction(row).card_id] += cents

    def gain(self) -> OfflineGain:
        """The gain so far, paired by card."""
        if not self._days:
            return OfflineGain(method="no day was decided")
        changes = np.array([*self._change.values()], np.float64)
        interval = paired_by_card(changes, self._days / 7, len(self._cards))
        per_card = DifferenceReading(
            difference=interval.mean / 1_000, low=interval.low / 1_000, high=interval.high / 1_000
        )
        return OfflineGain(method="replay", gain=per_card)


def answered_otherwise(
    decided: DecidedStretch, rows: Ints, answers: BothAnswers, of_a: Flags, costs: Costs
) -> tuple[Ints, Doubles]:
    """The rows of A to which B would answer otherwise, and the expected cents that it would cost more, given
    the truth; shape (k,) each. See `ReplayedGain.add_day`."""
    index = np.flatnonzero(of_a & (answers.a != answers.b))
    other = rows[index]
    by_action: Doubles = np.stack(
        expected_costs(
            decided.amount[other].astype(np.float64),
            decided.stretch.is_fraud[other].astype(np.float64),
            PaymentColumns.of(decided.stretch.transactions).can_hold[other].astype(np.float64),
            costs,
        )
    )
    number = np.arange(len(other))
    return other, by_action[answers.b[index], number] - by_action[answers.a[index], number]
