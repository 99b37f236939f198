"""Footprints: what a line or a job takes a month, in machines and people, and what that costs. Pure.

Processor time is not the price: a million payments carry hundreds of thousands of fraud and take a fraction
of an hour of one core. What costs is what must be there at all: brokers, replicas, stores, and somebody who
gets up at night.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import ceil, isfinite
from typing import Final

from fraudsim.errors import FraudsimError
from fraudsim.settings import variable
from simulator.regimes import Regime
from stream_features.catalogue.features import MINUTE

MONTH_S: Final = 365.25 / 12 * 86_400
WEEKS_A_MONTH: Final = 365.25 / 12 / 7


@dataclass(frozen=True)
class Footprint:
    """Prices in currency units a month, and sizes; `SOURCES` says where each is from.

    Raises:
        FraudsimError: a value is negative or not a number, or a rate is 0.
    """

    broker: float = 150.0
    node: float = 75.0
    """A machine of a scorer, a worker or a job."""
    store: float = 110.0
    brokers: float = 3.0
    stores: float = 2.0
    replicas: float = 2.0
    """Least number of scorers, and of workers."""
    peak: float = 5.0
    """Payments a second at the peak over the mean."""
    scorer_rate: float = 4_000.0
    """Payments a second of one scorer."""
    worker_rate: float = 10_000.0
    """Payments a second of one worker."""
    broker_rate: float = 20_000.0
    """Payments a second of one broker."""
    job_rate: float = 40_000.0
    """Payments a second of one machine of a job."""
    standby_week: float = 500.0
    """A week of somebody on call at night."""
    hour: float = 60.0
    """An hour of an engineer."""
    line_hours: float = 8.0
    """Hours a month that a real-time line takes: incidents, upgrades."""
    job_hours: float = 3.0
    """Hours a month that a job takes."""
    standby_from_minutes: float = 60.0
    """A job of a shorter period cannot wait for the morning: somebody is on call."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            name = f"{variable('footprint')}__{field.name.upper()}"
            if not (isfinite(value) and value >= 0):
                raise FraudsimError(f"setting {name}={value:g} must be a number, 0 or more")
            if field.name.endswith("_rate") and not value:
                raise FraudsimError(f"setting {name}={value:g} must be more than 0")

    @classmethod
    def of(cls, values: Mapping[str, float]) -> "Footprint":
        """The footprint of the settings.

        Raises:
            FraudsimError: a name is not known; the message lists those that are.
        """
        names = [field.name for field in fields(cls)]
        for name in values:
            if name not in names:
                raise FraudsimError(
                    f"setting {variable('footprint')}__{name.upper()} is not known; there are "
                    f"{', '.join(sorted(names))}"
                )
        return cls(**values)

    def month(self, regime: Regime, payments: float) -> float:
        """Currency units a month of a regime at a number of payments a month.

        Decisions are taken online in any case, by scorers that read a store. A real-time line adds brokers,
        workers and a person on call; a job adds its machine, and the person only if its period is short.
        """
        rate = self.peak * payments / MONTH_S
        scorers = max(self.replicas, ceil(rate / self.scorer_rate))
        base = scorers * self.node + self.stores * self.store
        if regime.period_ms == 0:
            brokers = max(self.brokers, ceil(rate / self.broker_rate))
            workers = max(self.replicas, ceil(rate / self.worker_rate))
            people = WEEKS_A_MONTH * self.standby_week + self.line_hours * self.hour
            return base + brokers * self.broker + workers * self.node + people
        people = self.job_hours * self.hour
        if regime.period_ms < self.standby_from_minutes * MINUTE:
            people += WEEKS_A_MONTH * self.standby_week
        machines = max(1, ceil(payments / MONTH_S / self.job_rate))
        return base + machines * self.node + people


_ASSUMED: Final = "assumed"
_MEASURED: Final = "docs/benchmarks.md, rounded down"
SOURCES: Final[Mapping[str, str]] = {
    **dict.fromkeys((field.name for field in fields(Footprint)), _ASSUMED),
    "scorer_rate": _MEASURED,
    "worker_rate": _MEASURED,
    "job_rate": "docs/simulator.md, the fast-forward on one core",
}
"""Where each value is from."""
