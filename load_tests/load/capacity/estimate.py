"""Rate at which half of the steps meet the objective, from steps that were met or missed. Pure.

P(met) at rate r is 1 / (1 + exp((ln r − ln c) / s)), with a small chance that a step is met or missed for
another reason. The posterior of capacity c and width s is computed on a grid: a fit by maximum likelihood
does not exist where the steps can be separated, which is what a sharp limit gives.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from fraudsim.arrays import Doubles

LAPSE: Final = 0.03
"""Chance that a step says the opposite whatever its rate, such as a pause of the machine."""
WIDTHS: Final = np.geomspace(0.01, 0.6, 16)
GRID: Final = 300
SPAN: Final = 3.0
"""The grid reaches from the lowest rate divided by this to the highest one times this."""


@dataclass(frozen=True)
class CapacityEstimate:
    """Capacity in requests a second with a 95 % interval."""

    rate: float
    low: float
    high: float

    @property
    def log_spread(self) -> float:
        """Half the interval's width on the log scale."""
        return float(np.log(self.high / self.low) / 2)


def estimate_capacity(rates: Sequence[float], met: Sequence[bool]) -> CapacityEstimate:
    """The posterior's median and 95 % interval; there must be a step."""
    logs = np.log(np.asarray(rates, dtype=np.float64))
    outcomes = np.asarray(met, dtype=bool)
    grid = np.linspace(logs.min() - np.log(SPAN), logs.max() + np.log(SPAN), GRID)
    # steps × capacities × widths
    z = (logs[:, None, None] - grid[None, :, None]) / WIDTHS[None, None, :]
    chance = LAPSE + (1 - 2 * LAPSE) / (1 + np.exp(np.clip(z, -500, 500)))
    log_likelihood = np.where(outcomes[:, None, None], np.log(chance), np.log1p(-chance)).sum(axis=0)
    posterior = np.exp(log_likelihood - log_likelihood.max()).sum(axis=1)
    cumulative = np.cumsum(posterior) / posterior.sum()
    low, middle, high = (float(np.exp(np.interp(p, cumulative, grid))) for p in (0.025, 0.5, 0.975))
    return CapacityEstimate(middle, low, high)


def chance_met(estimate_rates: Doubles, rates: Sequence[float], met: Sequence[bool]) -> Doubles:
    """Posterior mean of P(met) at rates, for a plot."""
    logs = np.log(np.asarray(rates, dtype=np.float64))
    outcomes = np.asarray(met, dtype=bool)
    grid = np.linspace(logs.min() - np.log(SPAN), logs.max() + np.log(SPAN), GRID)

    def chances(at: Doubles) -> Doubles:
        z = (at[:, None, None] - grid[None, :, None]) / WIDTHS[None, None, :]
        return LAPSE + (1 - 2 * LAPSE) / (1 + np.exp(np.clip(z, -500, 500)))

    own = chances(logs)
    log_likelihood = np.where(outcomes[:, None, None], np.log(own), np.log1p(-own)).sum(axis=0)
    weights = np.exp(log_likelihood - log_likelihood.max())
    result: Doubles = (chances(np.log(estimate_rates)) * weights).sum(axis=(1, 2)) / weights.sum()
    return result
