"""Jobs that score later: which payments a job scores when, and what it finds.

A job that starts at J scores the payments of [J - period, J), each with the features of its own time, and
ends at J + duration. What it finds counts from then on.
"""

from typing import NamedTuple

import numpy as np

from fraudsim.arrays import Floats, Ints
from simulator.line.decided import DecidedStretch
from simulator.line.scoring import Assessed
from simulator.regimes import Regime


class ScoredRows(NamedTuple):
    """Payments of one stretch that a job has scored."""

    decided: DecidedStretch
    rows: Ints
    card: Ints
    """Hash of each card."""
    ts: Ints
    vectors: Floats
    assessed: Assessed

    def of(self, start_ms: int, end_ms: int) -> "ScoredRows":
        """Those of [start_ms, end_ms)."""
        chosen = (self.ts >= start_ms) & (self.ts < end_ms)
        assessed = self.assessed
        return ScoredRows(
            self.decided, self.rows[chosen], self.card[chosen], self.ts[chosen], self.vectors[chosen],
            Assessed(assessed.scores[chosen], assessed.probabilities[chosen], assessed.to_decide[chosen]),
        )  # fmt: skip


class Jobs:
    """The jobs of a regime, and the payments of earlier stretches that none has scored yet."""

    def __init__(self, regime: Regime) -> None:
        self._period_ms, self._duration_ms = regime.period_ms, regime.delay_ms
        self._carried: list[ScoredRows] = []
        self.risk: dict[int, float] = {}
        """By card, the highest score of the payments that the last job scored."""

    def ends(self, start_ms: int, end_ms: int) -> list[int]:
        """Event times at which the jobs end that start in (start_ms, end_ms]."""
        first = start_ms // self._period_ms * self._period_ms + self._period_ms
        return [start + self._duration_ms for start in range(first, end_ms + 1, self._period_ms)]

    def period_of(self, end_ms: int) -> tuple[int, int]:
        """The payments' times, [from, to), that the job which ends at `end_ms` scores."""
        start_ms = end_ms - self._duration_ms
        return start_ms - self._period_ms, start_ms

    def unscored_from(self, end_ms: int) -> int:
        """Earliest payment that no job ending by `end_ms` has scored."""
        return (end_ms - self._duration_ms) // self._period_ms * self._period_ms

    def carry(self, rows: ScoredRows) -> None:
        """Keep payments for a job that ends in a later stretch."""
        kept = [part for part in self._carried if len(part.rows)]
        self._carried = [*kept, rows]

    def carried(self, end_ms: int) -> list[ScoredRows]:
        """The kept payments that the job scores which ends at `end_ms`; those of earlier jobs are dropped."""
        start_ms, to_ms = self.period_of(end_ms)
        parts = [part.of(start_ms, to_ms) for part in self._carried]
        self._carried = [rest for part in self._carried if len((rest := part.of(to_ms, 1 << 62)).rows)]
        return [part for part in parts if len(part.rows)]

    def set_risk(self, parts: list[ScoredRows]) -> None:
        """The cards' risks by a job's scores."""
        self.risk = {}
        for part in parts:
            for card, score in zip(part.card.tolist(), part.assessed.scores.tolist(), strict=True):
                self.risk[card] = max(score, self.risk.get(card, 0.0))

    def risks_of(self, card: Ints) -> Floats:
        """The risk of each payment's card, 0 where it had no payment."""
        return np.array([self.risk.get(key, 0.0) for key in card.tolist()], np.float32)
