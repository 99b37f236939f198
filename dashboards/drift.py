"""Drift of live features: the population stability index, with the limit that chance alone may reach. Pure.

PSI = sum over bins of (a - e) · ln(a / e), with e and a the shares of a bin in the reference and now. Without
drift it is about (1/n + 1/m) · chi-squared with B - 1 degrees of freedom, for samples of n and m in B bins
(Yurdakul and Naranjo, 2020): the customary cut-offs 0.1 and 0.25 fit no sample size in particular.
"""

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

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


class DriftMonitor:
    """Compares the last rows of some features with the first."""

    def __init__(self, names: Sequence[str], size: int) -> None:
        """
        Args:
            names: the features, in the order of a row.
            size: rows of the reference, and the most rows of the window that is compared with it.
        """
        self._names, self._size = tuple(names), size
        self._rows: npt.NDArray[Any] = np.empty((size, len(self._names)), np.float64)
        self._row_count = 0
        self._bins: list[Bins] = []

    def add(self, row: Sequence[float | None]) -> None:
        """Add one decision's values; None where one is unknown."""
        self._rows[self._row_count % self._size] = [math.nan if value is None else value for value in row]
        self._row_count += 1
        if self._row_count == self._size:
            self._bins = [Bins(column) for column in self._rows.T]

    def indices(self) -> dict[str, Psi]:
        """The index by feature; empty until there is a reference and a tenth as many rows after it."""
        rows = min(self._row_count - self._size, self._size)
        if rows < self._size / 10:
            return {}
        # The window overwrites the reference's rows from the first on.
        columns = zip(self._names, self._bins, self._rows[:rows].T, strict=True)
        return {name: psi(bins.reference, bins.counts(column)) for name, bins, column in columns}
