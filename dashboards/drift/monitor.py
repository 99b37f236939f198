"""Drift of live features: the last decisions against the first. Pure."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dashboards.drift.stability_index import Bins, Psi, psi


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
