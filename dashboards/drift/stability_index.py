"""The population stability index of counts, with the limit that chance alone may reach. Pure.

PSI = sum over bins of (a - e) · ln(a / e), with e and a the shares of a bin in the reference and now. Without
drift it is about (1/n + 1/m) · chi-squared with B - 1 degrees of freedom, for samples of n and m in B bins
(Yurdakul and Naranjo, 2020): the customary cut-offs 0.1 and 0.25 fit no sample size in particular.
"""

import math
from typing import Final, NamedTuple

import numpy as np

from fraudsim.arrays import Doubles, Ints

BINS: Final = 10
"""Bins of about equal shares in the reference; unknown values have one more."""
Z: Final = 3.0902
"""Quantile of the normal distribution that chance exceeds once in a thousand times."""
_HALF: Final = 0.5
"""Added to each count, so that an empty bin has a logarithm."""

Counts = Ints


class Psi(NamedTuple):
    """One feature's index, and the limit that chance alone exceeds once in a thousand times."""

    value: float
    limit: float


def psi(reference: Counts, current: Counts) -> Psi:
    """The index of counts by bin, shape (bins,) and not all 0; bins that are empty in both do not count."""
    used = (reference + current) > 0
    expected, actual = reference[used] + _HALF, current[used] + _HALF
    expected, actual = expected / expected.sum(), actual / actual.sum()
    value = float(((actual - expected) * np.log(actual / expected)).sum())
    scale = 1 / reference.sum() + 1 / current.sum()
    return Psi(value, float(scale * chi_squared_limit(int(used.sum()) - 1)))


def chi_squared_limit(degrees: int) -> float:
    """The 99.9th percentile of chi-squared, by Wilson and Hilferty (1931), within 4 %; 0 for 0 degrees."""
    if degrees == 0:
        return 0.0
    part = 2 / (9 * degrees)
    return degrees * (1 - part + Z * math.sqrt(part)) ** 3


class Bins:
    """The bins of one feature, cut at the quantiles of its reference."""

    def __init__(self, reference: Doubles) -> None:
        """`reference` of shape (n,), nan where a value is unknown."""
        present = reference[~np.isnan(reference)]
        shares = np.arange(1, BINS) / BINS
        self._edges = np.unique(np.quantile(present, shares)) if len(present) else np.empty(0)
        self.reference = self.counts(reference)

    def counts(self, values: Doubles) -> Counts:
        """How many of `values`, shape (n,), are in each bin; the last bin is for unknown ones."""
        unknown = np.isnan(values)
        indices = np.searchsorted(self._edges, values[~unknown], side="left")
        counts = np.bincount(indices, minlength=len(self._edges) + 2)
        counts[-1] = unknown.sum()
        return counts
