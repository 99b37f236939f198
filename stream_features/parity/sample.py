"""Which decisions to look at more closely: by chance, but rather the hot and the stale ones."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from fraudsim.log.events import Transaction
from stream_features.vector import keys_of

Floats = npt.NDArray[np.float64]

TOP: Final = 0.9
"""The upper tenth counts as hot, or as stale."""
EXTRA: Final = 4.0
"""By how much the weight of a decision grows for each."""


def heat(transactions: Sequence[Transaction]) -> Floats:
    """How many of the transactions share the busiest key of each."""
    keys = [keys_of(tx) for tx in transactions]
    number = Counter(key for its in keys for key in its)
    return np.array([max(number[key] for key in its) for its in keys], np.float64)


def weights(hot: Floats, staleness_ms: Floats, stale: npt.NDArray[np.bool_]) -> Floats:
    """1 for an ordinary decision, 5 for a hot or a stale one, 9 for both."""
    if not len(hot):
        return np.empty(0)
    return 1.0 + EXTRA * _top(hot) + EXTRA * (stale | _top(staleness_ms))


def _top(values: Floats) -> npt.NDArray[np.bool_]:
    # Where most share the smallest value, it is nothing special.
    return (values >= np.quantile(values, TOP)) & (values > values.min())


def weighted_sample(weight: Floats, size: int, seed: int) -> npt.NDArray[np.int64]:
    """Places of `size` entries, all where there are fewer, ascending; each at most once.

    Source: Efraimidis and Spirakis, Weighted random sampling with a reservoir, 2006.
    """
    draw = np.log(np.random.default_rng(seed).uniform(size=len(weight))) / weight
    return np.sort(np.argsort(draw)[::-1][:size])
