"""What a trigger is shown after each week: drift, and what decisions cost by the labels heard by then."""

from collections.abc import Sequence
from typing import Final

from dashboards.drift.decided_weeks import DecidedWeeks
from dashboards.drift.detector import BlockDetector
from dashboards.drift.week import MatureWeek, WeekSummarizer
from lifecycle.retraining.triggers import Evidence
from simulator.line.decided import DecidedStretch
from studies.drift.cell import rows_of

POOLED_WEEKS: Final = 4
"""Of performance: a week of a small world has a few campaigns, and its cost says little."""


class EvidenceBook:
    """Collects the weeks that one champion has decided."""

    def __init__(self, start_ms: int, seed: int, retraining_cents: float) -> None:
        self._retraining_cents = retraining_cents
        self._weeks, self._summarizer = DecidedWeeks(start_ms), WeekSummarizer(seed)
        self._detector = BlockDetector()
        self._mature: list[MatureWeek] = []
        self._from_ms = start_ms

    def restart(self, now_ms: int) -> None:
        """Forget the weeks of an earlier champion."""
        self._detector.restart()
        self._mature.clear()
        self._from_ms = now_ms

    def add(self, decided: DecidedStretch, tried_ms: int) -> Evidence:
        """Take in a week; what is known at its end. `tried_ms`: when retraining was last tried."""
        now_ms = decided.stretch.end_ms
        drifted: list[str] = []
        for week in self._weeks.add(rows_of(decided), decided.labels, now_ms):
            verdict = self._detector.add(self._summarizer.summarize(week))
            drifted = [reading.name for reading in verdict.drifted]
            if week.mature is not None and week.mature.first_ms >= self._from_ms:
                self._mature.append(week.mature)
        now, then = self._mature[-POOLED_WEEKS:], self._mature[:POOLED_WEEKS]
        at_stake = sum(week.at_stake_cents for week in now)
        return Evidence(
            now_ms,
            tried_ms,
            drifted,
            cost_share=_cost_share(now),
            cost_share_then=_cost_share(then),
            at_stake_cents=at_stake / max(1, len(now)),
            retraining_cents=self._retraining_cents,
        )


def _cost_share(weeks: Sequence[MatureWeek]) -> float | None:
    """Of all weeks together; None without a known fraud."""
    at_stake = sum(week.at_stake_cents for week in weeks)
    return sum(week.cost_cents for week in weeks) / at_stake if at_stake else None
