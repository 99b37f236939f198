"""The cells in which a column's values are counted."""

from typing import Final

import numpy as np

from fraudsim.arrays import Doubles, Ints

CELLS: Final = 60
"""About equal shares of the first week; distances without bins are exact to 1/60 of a share."""


class CellGrid:
    """The cells of one column: cut at quantiles of its first week, and a last one for missing values."""

    def __init__(self, values: Doubles, most: int = CELLS) -> None:
        """`values` of the first week, shape (n,), nan where missing; `most` cells beside the last one."""
        present = values[~np.isnan(values)]
        shares = np.arange(1, most) / most
        self._edges: Doubles = (
            np.unique(np.quantile(present, shares, method="inverted_cdf"))
            if len(present)
            else np.empty(0, np.float64)
        )

    @property
    def size(self) -> int:
        """The number of cells, with the one for missing values."""
        return len(self._edges) + 2

    def cell_of(self, values: Doubles) -> Ints:
        """The cell of each value, shape (n,): cell i holds what is above edge i - 1 and up to edge i."""
        indices = np.searchsorted(self._edges, values, side="left").astype(np.int64)
        indices[np.isnan(values)] = self.size - 1
        return indices
