"""Rows as a few active indexes, for linear and factorisation models: the hashing trick.

Weinberger, Dasgupta, Langford, Smola and Attenberg, "Feature Hashing for Large Scale Multitask Learning",
ICML 2009: ids of any number become indexes by a hash; what collides shares a weight. Numbers enter by the bin
of a quantile, with a bin of its own where they are missing, so that a linear model can bend.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from fraudsim.arrays import Doubles, Floats, Int32s, Ints

BINS: Final = 16
HASH_BITS: Final = 16
_ODD: Final = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, eq=False)
class IndexEncoder:
    """Maps features and ids to indexes; all rows have as many."""

    edges: tuple[Doubles, ...]
    """Of each feature, the inner edges of its bins."""

    @classmethod
    def fitted(cls, features: Floats) -> "IndexEncoder":
        """Edges at the quantiles of training rows, shape (n, SIZE)."""
        shares = np.linspace(0, 1, BINS)[1:-1]
        edges = []
        for values in features.T:
            present = values[~np.isnan(values)].astype(np.float64)
            edges.append(np.unique(np.quantile(present, shares)) if len(present) else np.empty(0))
        return cls(tuple(edges))

    @property
    def size(self) -> int:
        """Number of different indexes."""
        return BINS * len(self.edges) + (1 << HASH_BITS)

    def indexes(self, features: Floats, ids: Ints) -> Int32s:
        """Active indexes of each row: one for each feature and one for each id field; (n, SIZE + 4)."""
        columns = []
        for number, (values, edges) in enumerate(zip(features.T, self.edges, strict=True)):
            bin_ = np.searchsorted(edges, values, side="right") + 1
            columns.append(np.where(np.isnan(values), 0, bin_) + BINS * number)
        for field in range(ids.shape[1]):
            mixed = (ids[:, field].astype(np.uint64) + np.uint64(field)) * _ODD
            columns.append(BINS * len(self.edges) + (mixed >> np.uint64(64 - HASH_BITS)).astype(np.int64))
        return np.stack(columns, axis=1).astype(np.int32)
