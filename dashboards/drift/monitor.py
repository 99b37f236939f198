"""Drift of live features: the last decisions against the first. Pure."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from dashboards.drift.stability_index import Bins, Psi, psi

_TOGETHER: Final = 500
"""Rows that become an array at once."""
Row = Sequence[float | None]


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
        self._added: list[Row] = []
        """Rows that are not among `_rows` yet."""

    def add(self, rows: Iterable[Row]) -> None:
        """Add the values of decisions; None where one is unknown."""
        self._added.extend(rows)
        if len(self._added) >= _TOGETHER:
            self._take_added()

    def _take_added(self) -> None:
        rows = np.array(self._added, np.float64).reshape(-1, len(self._names))
        self._added = []
        while len(rows):
            first = self._row_count % self._size
            fitting, rows = np.split(rows, [self._size - first])
            self._rows[first : first + len(fitting)] = fitting
            self._row_count += len(fitting)
            if self._row_count == self._size:
                self._bins = [Bins(column) for column in self._rows.T]

    def indices(self) -> dict[str, Psi]:
        """The index by feature; empty until there is a reference and a tenth as many rows after it."""
        self._take_added()
        rows = min(self._row_count - self._size, self._size)
        if rows < self._size / 10:
            return {}
        # The window overwrites the reference's rows from the first on.
        columns = zip(self._names, self._bins, self._rows[:rows].T, strict=True)
        return {name: psi(bins.reference, bins.counts(column)) for name, bins, column in columns}
