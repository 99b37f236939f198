"""The utilisation law: a process with a fixed share and D µs a transaction is busy for fixed + X·D at X/s.

(Denning and Buzen 1978; Lazowska et al., Quantitative System Performance, chapter 3.) Fixed and marginal cost
are fitted by least squares over rates below half of the load, where queues do not change what a transaction
costs: batches grow with the rate, so the marginal cost falls, and a fit near saturation would mix both.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from fraudsim.arrays import Doubles

SINGLE_CORE: Final = ("worker", "scorer", "archiver", "labels", "producer", "redis", "target", "watch")
"""Processes that take at most one core: one event loop, or one thread."""
BUSY: Final = 0.7
"""Share of a core to which a process is filled when its number is counted: beyond it queues dominate."""


@dataclass(frozen=True)
class ProcessFit:
    """Fixed and marginal cost of one process."""

    name: str
    fixed_share: float
    """Of a core, without load."""
    marginal_us: float
    """CPU of one transaction more."""
    memory_mb: float

    def core_share(self, rate: float) -> float:
        """Cores that it is busy with at a rate."""
        return self.fixed_share + rate * self.marginal_us / 1e6

    @property
    def single_core(self) -> bool:
        return self.name in SINGLE_CORE

    @property
    def saturation(self) -> float:
        """The rate at which one core is full; infinite for a process that spreads over cores."""
        if not self.single_core or self.marginal_us <= 0:
            return math.inf
        return max(0.0, (1 - self.fixed_share) / self.marginal_us * 1e6)


@dataclass(frozen=True)
class CostStep:
    """The cost of each process at one rate."""

    rate: float
    """Transactions a second that were answered."""
    core_share: Mapping[str, float]
    memory_mb: Mapping[str, float]


def fit_processes(steps: Sequence[CostStep]) -> list[ProcessFit]:
    """Fixed and marginal cost of every process; with one rate, all of its cost is marginal."""
    names = sorted({name for step in steps for name in step.core_share})
    fits = []
    for name in names:
        own = [step for step in steps if name in step.core_share]
        rates = np.array([step.rate for step in own])
        shares = np.array([step.core_share[name] for step in own])
        fixed, marginal = _line(rates, shares)
        memory_mb = max(step.memory_mb.get(name, 0.0) for step in own)
        fits.append(ProcessFit(name, fixed, 1e6 * marginal, memory_mb))
    return fits


def _line(rates: Doubles, shares: Doubles) -> tuple[float, float]:
    """Least squares of share = fixed + rate · marginal, neither below 0."""
    through_origin = float((rates * shares).sum() / (rates**2).sum()) if rates.any() else 0.0
    if len(np.unique(rates)) < 2:
        return 0.0, through_origin
    marginal, fixed = np.polyfit(rates, shares, 1)
    if fixed < 0:
        return 0.0, through_origin
    if marginal < 0:
        return float(shares.mean()), 0.0
    return float(fixed), float(marginal)


def predicted_capacity(fits: Sequence[ProcessFit], cores: int) -> tuple[float, str]:
    """The rate at which the first resource is full, and which: one process's core, or all cores."""
    per_process = min(fits, key=lambda fit: fit.saturation, default=None)
    fixed = sum(fit.fixed_share for fit in fits)
    marginal = sum(fit.marginal_us for fit in fits) / 1e6
    machine = max(0.0, (cores - fixed) / marginal) if marginal > 0 else math.inf
    if per_process is None or machine <= per_process.saturation:
        return machine, f"all {cores} cores"
    return per_process.saturation, f"the core of {per_process.name}"


def processes_needed(fit: ProcessFit, rate: float) -> int:
    """How many processes of this kind a rate takes, each filled to `BUSY` of a core."""
    return max(1, math.ceil(fit.core_share(rate) / BUSY)) if fit.single_core else 1
