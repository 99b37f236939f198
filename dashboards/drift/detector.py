"""The weekly detector: is a week unlike the weeks of reference, in anything that is watched?"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from dashboards.drift.distances import area, missing_change, rate_change, stability_index
from dashboards.drift.limits import Distance, NullLimit, null_limit
from dashboards.drift.week import WeekSummary
from fraudsim.arrays import Doubles
from fraudsim.errors import FraudsimError

PROMISED_WEEKS: Final = 10
"""The promise: without drift the family of all signals alarms at most once in so many weeks on average."""
DESIGN_WEEKS: Final = 20
"""What limits are made for: half of it is kept for weeks unlike any reference, as of sales and holidays."""
FEWEST_WEEKS: Final = 8
"""Weeks of reference; with fewer, how weeks differ is not known."""
_DISTRIBUTIONS: Final[tuple[tuple[str, Distance, float], ...]] = (
    ("area", area, 0.06),
    ("psi", stability_index, 0.1),
    ("missing", missing_change, 0.05),
)
"""Of every column: the kind of signal, its distance, and the effect below which nobody would act.

The floors lie above what seasons do.
"""
_VOLUME_FLOORS: Final = {"area": 0.1, "psi": 0.15}
"""Of how much is going on: above what sales and Christmas do to a card's sums of a day."""
_RATE_FLOOR: Final = 0.4
"""Of every rate: it is half as much again, or two thirds."""
_NEW_FLOOR: Final = 0.01
"""Of every category: the share of rows whose value no reference week has."""


@dataclass(frozen=True)
class SignalReading:
    """One signal in one week."""

    name: str
    """Kind and column, as `area of amount`."""
    distance: float
    limit: NullLimit

    @property
    def drifted(self) -> bool:
        return self.distance > self.limit.value


@dataclass(frozen=True)
class WeekVerdict:
    """What a detector says of a week."""

    start_ms: int
    ready: bool
    """False while the reference is collected."""
    alarm: bool
    readings: tuple[SignalReading, ...] = ()

    @property
    def drifted(self) -> list[SignalReading]:
        """What has drifted, the furthest beyond its limit first."""
        beyond = [reading for reading in self.readings if reading.drifted]
        return sorted(beyond, key=lambda r: -r.distance / max(r.limit.value, 1e-12))


class BlockDetector:
    """Compares each week with the first ones, which stay the reference until `restart`.

    A reference that slid along would follow a gradual drift; one that stays feels the seasons, against which
    the floors stand. Memory: counts of the reference weeks, whatever the number of cards.
    """

    name = "blocks"

    def __init__(self, reference_weeks: int = FEWEST_WEEKS, design_weeks: float = DESIGN_WEEKS) -> None:
        """
        Args:
            design_weeks: the average run length without drift that the limits are made for.

        Raises:
            FraudsimError: fewer than `FEWEST_WEEKS` weeks of reference.
        """
        if reference_weeks < FEWEST_WEEKS:
            raise FraudsimError(
                f"drift: {reference_weeks} weeks of reference are too few to know how weeks differ; "
                f"give {FEWEST_WEEKS} or more"
            )
        self._size, self._level = reference_weeks, 1 / design_weeks
        self._reference: list[WeekSummary] = []
        self._limits: dict[str, NullLimit] = {}
        self._pooled: dict[str, tuple[Doubles, Distance]] = {}
        """By signal, the sums of all reference weeks, and the distance."""

    @property
    def ready(self) -> bool:
        """Whether the reference is complete."""
        return len(self._reference) == self._size

    def restart(self) -> None:
        """Begin a new reference: after a promotion, or when a change is there to stay."""
        self._reference.clear()
        self._limits.clear()
        self._pooled.clear()

    def add(self, week: WeekSummary) -> WeekVerdict:
        """Take in a week: for the reference as long as that is not complete, else to be compared with it."""
        if not self.ready:
            self._reference.append(week)
            if self.ready:
                self._set_limits()
            return WeekVerdict(week.start_ms, ready=False, alarm=False)
        readings = tuple(self._readings(week))
        return WeekVerdict(week.start_ms, True, any(reading.drifted for reading in readings), readings)

    def _set_limits(self) -> None:
        signals = list(self._signals())
        categories = len(self._reference[0].values)
        level = self._level / (len(signals) + categories)
        for name, stack, distance, floor in signals:
            self._limits[name] = null_limit(stack, distance, level, floor)
            self._pooled[name] = stack[:, 0].sum(axis=0), distance

    def _signals(self) -> Iterator[tuple[str, Doubles, Distance, float]]:
        """Name, sums of the reference weeks, distance and floor of every signal."""
        for column in self._common("counts"):
            stack = np.stack([week.counts[column] for week in self._reference])
            first = self._reference[0]
            floors = _VOLUME_FLOORS if column in first.volumes else {}
            for kind, distance, floor in _DISTRIBUTIONS[: 1 if column in first.only_area else None]:
                yield f"{kind} of {column}", stack, distance, floors.get(kind, floor)
        for rate in self._common("rates"):
            stack = np.stack([week.rates[rate] for week in self._reference])
            yield f"rate of {rate}", stack, rate_change, _RATE_FLOOR

    def _common(self, part: str) -> list[str]:
        """What every reference week has, in the order of the first one."""
        parts: list[Mapping[str, object]] = [getattr(week, part) for week in self._reference]
        return [name for name in parts[0] if all(name in others for others in parts)]

    def _readings(self, week: WeekSummary) -> Iterator[SignalReading]:
        for name, (pooled, distance) in self._pooled.items():
            kind, _, what = name.partition(" of ")
            now = (week.rates if kind == "rate" else week.counts).get(what)
            if now is not None:
                yield SignalReading(name, float(distance(pooled, now[0])), self._limits[name])
        for category, values in week.values.items():
            before = set().union(*(reference.values.get(category, {}) for reference in self._reference))
            new = sum(count for value, count in values.items() if value not in before)
            share = new / max(1, sum(values.values()))
            yield SignalReading(f"new of {category}", share, NullLimit(0.0, _NEW_FLOOR))
