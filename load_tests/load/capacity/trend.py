"""Whether a step was stable: no growth of what is under way, none of the generator's delays. Pure."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from fraudsim.arrays import Doubles
from load_tests.load.clocks.lateness import Lateness
from load_tests.load.clocks.records import Records

BINS: Final = 20
SIGNIFICANT: Final = 3.0
"""Standard errors above which a slope is positive."""


@dataclass(frozen=True)
class Trend:
    """The growth of a quantity over a step, by least squares on the means of its bins."""

    growth: float
    """From the start of the step to its end."""
    error: float
    """Standard error of the growth."""

    def rises(self, tolerance: float) -> bool:
        """Whether it grows by more than a tolerance, beyond what chance makes of it."""
        return self.growth > tolerance and self.growth > SIGNIFICANT * self.error


def trend_of(values: Doubles) -> Trend:
    """The trend of evenly spaced means."""
    count = len(values)
    if count < 3:
        return Trend(0.0, 0.0)
    x = np.linspace(-0.5, 0.5, count)
    growth = float((x * values).sum() / (x**2).sum())
    residuals = values - values.mean() - growth * x
    error = float(np.sqrt((residuals**2).sum() / (count - 2) / (x**2).sum()))
    return Trend(growth, error)


def backlog_means(records: Records, bins: int = BINS) -> Doubles:
    """Mean number of requests that were due and not yet answered, by part of the step."""
    if not len(records):
        return np.zeros(0)
    start_us, end_us = int(records["intended_us"].min()), int(records["intended_us"].max()) + 1
    completed = np.sort(np.where(records["completed_us"] > 0, records["completed_us"], end_us * 2))
    intended = np.sort(records["intended_us"])
    times = np.linspace(start_us, end_us, 10 * bins, endpoint=False)
    backlog = np.searchsorted(intended, times, side="right") - np.searchsorted(completed, times, side="right")
    return backlog.reshape(bins, -1).mean(axis=1).astype(np.float64)


def delay_means_us(records: Records, lateness: Lateness, bins: int = BINS) -> Doubles:
    """Mean delay of the sends by the generator, by part of the step."""
    if not len(records):
        return np.zeros(0)
    start_us, end_us = int(records["intended_us"].min()), int(records["intended_us"].max()) + 1
    index = ((records["intended_us"] - start_us) * bins // (end_us - start_us)).astype(np.int64)
    sums = np.bincount(index, weights=lateness.delays_us, minlength=bins)
    return sums / np.maximum(np.bincount(index, minlength=bins), 1)


def unstable(records: Records, lateness: Lateness, objective_ms: float) -> str:
    """Why a step does not count as met; empty if it was stable.

    In a steady state rate times the objective are under way (Little's law): growth of more than half of that
    is a queue that builds up.
    """
    if len(records) < 2:
        return ""
    seconds = max(1e-6, (int(records["intended_us"].max()) - int(records["intended_us"].min())) / 1e6)
    tolerance = max(2.0, 0.5 * len(records) / seconds * objective_ms / 1000)
    if trend_of(backlog_means(records)).rises(tolerance):
        return "the backlog grew"
    if trend_of(delay_means_us(records, lateness)).rises(lateness.limit_us):
        return "the generator's delays grew"
    return ""
