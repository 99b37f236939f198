"""Distances between a week and its reference, each a single number at least 0.

Counts have shape (..., cells), the last cell for missing values; what stands before it is kept, so that one
call compares many resamples.
"""

from typing import Final

import numpy as np

from fraudsim.arrays import Doubles

BINS: Final = 10
"""Of the population stability index: about equal shares of the reference, and one for missing values."""
_HALF: Final = 0.5
"""Added to counts of bins and rates, so that an empty one has a logarithm."""


def area(reference: Doubles, now: Doubles) -> Doubles:
    """The mean over the reference's values of |F_now - F_reference|: a distance without bins.

    F are the distribution functions of what is not missing. 0 where they are equal, at most 1; it is the
    Wasserstein distance after each value was replaced by its rank in the reference, so no unit and no tail
    of amounts matters. A shift by 10 % of log-normal amounts with sigma 1 comes to 0.027.
    """
    expected, actual = _shares(reference[..., :-1]), _shares(now[..., :-1])
    gaps = np.abs(np.cumsum(actual, axis=-1) - np.cumsum(expected, axis=-1))
    distance: Doubles = (gaps * expected).sum(axis=-1)
    return distance


def stability_index(reference: Doubles, now: Doubles) -> Doubles:
    """The population stability index over `BINS` bins; see `stability_index.psi`."""
    groups = _groups(reference.reshape(-1, reference.shape[-1]).sum(axis=0))
    expected, actual = _merged(reference, groups) + _HALF, _merged(now, groups) + _HALF
    expected /= expected.sum(axis=-1, keepdims=True)
    actual /= actual.sum(axis=-1, keepdims=True)
    index: Doubles = ((actual - expected) * np.log(actual / expected)).sum(axis=-1)
    return index


def missing_change(reference: Doubles, now: Doubles) -> Doubles:
    """By how much the share of missing values has changed."""
    change: Doubles = np.abs(_missing_share(now) - _missing_share(reference))
    return change


def rate_change(reference: Doubles, now: Doubles) -> Doubles:
    """|ln(rate now / rate in the reference)|, from sums (numerator, denominator) of shape (..., 2)."""
    change: Doubles = np.abs(_log_rate(now) - _log_rate(reference))
    return change


def _shares(counts: Doubles) -> Doubles:
    total = counts.sum(axis=-1, keepdims=True)
    shares: Doubles = np.divide(counts, total, out=np.zeros_like(counts), where=total > 0)
    return shares


def _groups(reference: Doubles) -> Doubles:
    """Which cells make which bin, shape (cells, bins) of 0 and 1, by the reference's shares."""
    shares = _shares(reference[:-1])
    middle = np.cumsum(shares) - shares / 2
    groups = np.zeros((len(reference), BINS + 1))
    groups[np.arange(len(shares)), np.minimum((middle * BINS).astype(np.int64), BINS - 1)] = 1
    groups[-1, BINS] = 1
    used: Doubles = groups[:, groups.any(axis=0)]
    return used


def _merged(counts: Doubles, groups: Doubles) -> Doubles:
    merged: Doubles = counts @ groups
    return merged


def _missing_share(counts: Doubles) -> Doubles:
    total = counts.sum(axis=-1)
    share: Doubles = np.divide(counts[..., -1], total, out=np.zeros_like(total), where=total > 0)
    return share


def _log_rate(sums: Doubles) -> Doubles:
    rate: Doubles = np.log((sums[..., 0] + _HALF) / (sums[..., 1] + 2 * _HALF))
    return rate
