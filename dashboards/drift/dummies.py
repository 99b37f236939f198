"""Detectors that a better one must beat: one that always alarms, one that never does, a fixed cut-off."""

from typing import Final, Protocol

from dashboards.drift.detector import FEWEST_WEEKS, WeekVerdict
from dashboards.drift.distances import stability_index
from dashboards.drift.week import WeekSummary

CUT_OFF: Final = 0.2
"""Of the population stability index, as customary."""


class WeekDetector(Protocol):
    """What looks at one week after another."""

    name: str

    def add(self, week: WeekSummary) -> WeekVerdict:
        """Take in a week, and say what it is."""
        ...


class AlwaysAlarm:
    """Alarms every week after as many as the others need: the shortest delay, and the worst run length."""

    name = "always"

    def __init__(self, reference_weeks: int = FEWEST_WEEKS) -> None:
        self._left = reference_weeks

    def add(self, week: WeekSummary) -> WeekVerdict:
        """An alarm once the reference weeks are over."""
        self._left -= 1
        return WeekVerdict(week.start_ms, self._left < 0, self._left < 0)


class NeverAlarm:
    """Never alarms."""

    name = "never"

    def __init__(self, reference_weeks: int = FEWEST_WEEKS) -> None:
        self._left = reference_weeks

    def add(self, week: WeekSummary) -> WeekVerdict:
        """No alarm."""
        self._left -= 1
        return WeekVerdict(week.start_ms, self._left < 0, alarm=False)


class FixedCutOff:
    """Alarms where the index of any column is above a cut-off, against the first week."""

    name = "psi 0.2"

    def __init__(self, reference_weeks: int = FEWEST_WEEKS, cut_off: float = CUT_OFF) -> None:
        self._left, self._cut_off = reference_weeks, cut_off
        self._first: WeekSummary | None = None

    def add(self, week: WeekSummary) -> WeekVerdict:
        """An alarm by the cut-off, once the reference weeks are over."""
        first = self._first = self._first or week
        self._left -= 1
        if self._left >= 0:
            return WeekVerdict(week.start_ms, ready=False, alarm=False)
        indices = [
            float(stability_index(first.counts[name][0], counts[0]))
            for name, counts in week.counts.items()
            if name in first.counts
        ]
        return WeekVerdict(week.start_ms, True, max(indices, default=0.0) > self._cut_off)
