"""Rows as a few active indexes with values, for linear and factorisation models: the hashing trick.

Weinberger, Dasgupta, Langford, Smola and Attenberg, "Feature Hashing for Large Scale Multitask Learning",
ICML 2009: ids of any number become indexes by a hash; what collides shares a weight. Numbers enter as
standardised logarithms, as in the cascade's first stage, with an index of their own for being missing. (Bins
of quantiles lose what tells fraud: it lies in the last hundredths of counts and sums, all in one bin.)
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from fraudsim.arrays import Doubles, Floats, Int32s, Ints

HASH_BITS: Final = 16
CLIP: Final = 6.0
"""Standard deviations beyond which a value counts as this many."""
_ODD: Final = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, eq=False)
class IndexEncoder:
    """Maps features and ids to indexes and values; all rows have as many."""

    mean: Doubles
    """Of log(1 + x) of each feature, where it is present; shape (SIZE,)."""
    deviation: Doubles

    @classmethod
    def fitted(cls, features: Floats) -> "IndexEncoder":
        """Mean and deviation of training rows, shape (n, SIZE)."""
        logs = _logs(features)
        present = (~np.isnan(logs)).sum(axis=0).clip(1)
        mean = np.nansum(logs, axis=0) / present
        deviation = np.sqrt(np.nansum((logs - mean) ** 2, axis=0) / present)
        return cls(mean, np.where(deviation < 1e-9, 1.0, deviation))

    @property
    def number_indexes(self) -> int:
        """Indexes below this are of features, the others of ids."""
        return 2 * len(self.mean)

    @property
    def size(self) -> int:
        """Number of different indexes."""
        return self.number_indexes + (1 << HASH_BITS)

    def encoded(self, features: Floats, ids: Ints) -> tuple[Int32s, Floats]:
        """Active indexes of each row and their values; both (n, SIZE + 4).

        A feature has its own index and value, or where it is missing another index and 1; an id 1.
        """
        size, rows = len(self.mean), len(features)
        standard = (_logs(features) - self.mean) / self.deviation
        missing = np.isnan(standard)
        numbers = np.arange(size) + size * missing
        values = np.where(missing, 1.0, np.clip(standard, -CLIP, CLIP))
        fields = np.arange(ids.shape[1], dtype=np.uint64)
        mixed = (ids.astype(np.uint64) + fields) * _ODD
        hashed = self.number_indexes + (mixed >> np.uint64(64 - HASH_BITS)).astype(np.int64)
        return (
            np.hstack([numbers, hashed]).astype(np.int32),
            np.hstack([values, np.ones((rows, ids.shape[1]))]).astype(np.float32),
        )


def _logs(features: Floats) -> Doubles:
    return np.asarray(np.log1p(np.maximum(features.astype(np.float64), 0)))
