"""Which models decided in which week. Pure."""

from collections import defaultdict
from typing import Final

import numpy as np

from dashboards.drift.decided_weeks import WEEK_MS
from fraudsim.arrays import Ints

LEAST_SHARE: Final = 0.005
"""Of a week's decisions; scorers change their model one after the other, and partitions are not in step."""


class Deciders:
    """Counts decisions by week and version."""

    def __init__(self, start_ms: int) -> None:
        """`start_ms`: where the first week begins."""
        self._start_ms = start_ms
        self._weeks: defaultdict[int, dict[str, tuple[int, float]]] = defaultdict(dict)
        """By start of a week and version, the number of decisions and the sum of their event times since."""

    def add(self, version: str, ts: Ints) -> None:
        """Add decisions of a version."""
        starts = self._start_ms + (ts - self._start_ms) // WEEK_MS * WEEK_MS
        for start in np.unique(starts).tolist():
            offsets = ts[starts == start] - start
            count, total = self._weeks[start].get(version, (0, 0.0))
            self._weeks[start][version] = count + len(offsets), total + float(offsets.sum())

    def champion(self, start_ms: int) -> str:
        """The version that decides at the end of a week; empty for a week without decisions."""
        versions = self._versions(start_ms)
        return max(versions, key=lambda version: versions[version], default="")

    def is_mixed(self, start_ms: int) -> bool:
        """Whether the champion changed within a week."""
        return len(self._versions(start_ms)) > 1

    def _versions(self, start_ms: int) -> dict[str, float]:
        """The mean event time of each version's decisions within a week, of those that count."""
        week = self._weeks.get(start_ms, {})
        least = LEAST_SHARE * sum(count for count, _ in week.values())
        return {version: total / count for version, (count, total) in week.items() if count >= least}
