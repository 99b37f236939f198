"""Growth of a world's traffic."""

from dataclasses import dataclass
from typing import Final

YEAR_DAYS: Final = 365.25


@dataclass(frozen=True)
class TrafficGrowth:
    """Compound growth: the same cards pay more often, by the same share every year."""

    per_year: float = 0.0
    """0.1 is ten per cent more transactions after a year."""
    first_day: int = 0
    """Days since 1970-01-01; the factor is 1 there."""

    def factor(self, day: int) -> float:
        """Transactions on a day relative to the first."""
        return float((1 + self.per_year) ** ((day - self.first_day) / YEAR_DAYS))


NO_GROWTH: Final = TrafficGrowth()
