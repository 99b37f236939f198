"""Weighted sampling of decisions for the slower engines, with hot and stale ones more likely."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np

from fraudsim.arrays import Doubles, Flags, Ints
from fraudsim.log.events import Transaction
from stream_features.vector import keys_of

TOP: Final = 0.9
"""The upper tenth counts as hot, or as stale."""
EXTRA: Final = 4.0
"""Added to the weight of a decision for each of the two."""


def heat(transactions: Sequence[Transaction]) -> Doubles:
    """For each transaction, how many of the transactions share its busiest key."""
    keys_by_tx = [keys_of(tx) for tx in transactions]
    count = Counter(key for keys in keys_by_tx for key in keys)
    return np.array([max(count[key] for key in keys) for keys in keys_by_tx], np.float64)


def weights(hot: Doubles, staleness_ms: Doubles, stale: Flags) -> Doubles:
    """1 for an ordinary decision, 5 for a hot or a stale one, 9 for both."""
    if not len(hot):
        return np.empty(0)
    return 1.0 + EXTRA * _top(hot) + EXTRA * (stale | _top(staleness_ms))


def _top(values: Doubles) -> Flags:
    # Where most share the smallest value, that value is not in the top.
    return (values >= np.quantile(values, TOP)) & (values > values.min())


def weighted_sample(weight: Doubles, size: int, seed: int) -> Ints:
    """Indices of `size` entries, of all where there are fewer; ascending, each at most once.

    Source: Efraimidis and Spirakis, Weighted random sampling with a reservoir, 2006.
    """
    draw = np.log(np.random.default_rng(seed).uniform(size=len(weight))) / weight
    return np.sort(np.argsort(draw)[::-1][:size])
