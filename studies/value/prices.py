"""What pays: money saved against the difference of footprints, by volume. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from producers.ledger.comparison import Difference
from simulator.regimes import Regime
from studies.comparison.figures import ArmRow
from studies.value.footprint import Footprint

VOLUMES: Final = (1e5, 1e6, 1e7, 1e8)
"""Payments a month."""
MOST: Final = 1e12
"""Volumes are searched up to it."""


class Saved(NamedTuple):
    """What real time saves against a job, currency units a payment."""

    mean: float
    low: float | None
    """Ends of the 95 % interval; None with one world."""
    high: float | None


def saved_a_payment(row: ArmRow) -> Saved:
    """From a job's row: its net loss less that of real time, by payment."""
    difference, payments = row.against_base, row.measures["payments"]
    return Saved(*(None if end is None else end / 100 / payments for end in _ends(difference)))  # type: ignore[arg-type]


def _ends(difference: Difference) -> tuple[float, float | None, float | None]:
    return difference.mean, difference.low, difference.high


def break_even(saved: float, footprint: Footprint, line: Regime, job: Regime) -> float | None:
    """Payments a month from which a line costs less than a job; None if it never does.

    Footprints grow in steps with the volume, so it is searched: a factor of 1.01 apart.
    """
    if saved <= 0:
        return None
    volume = 1.0
    while volume < MOST:
        if saved * volume >= footprint.month(line, volume) - footprint.month(job, volume):
            return volume
        volume *= 1.01
    return None


def cheapest(
    rows: Sequence[ArmRow], regimes: Mapping[str, Regime], footprint: Footprint, payments: float
) -> tuple[str, dict[str, float]]:
    """The arm that costs least at a volume, and what each costs more than real time, a month."""
    fresh = next(name for name, regime in regimes.items() if regime.period_ms == 0)
    base = footprint.month(regimes[fresh], payments)
    costs = {fresh: 0.0}
    for row in rows:
        if row.arm in regimes and row.arm != fresh:
            extra = saved_a_payment(row).mean * payments
            costs[row.arm] = extra + footprint.month(regimes[row.arm], payments) - base
    return min(costs, key=costs.__getitem__), costs
