"""Draws of merchants by popularity within groups."""

from copy import copy

import numpy as np
from numpy.typing import NDArray


class MerchantPicker:
    """Draws merchants by popularity among those of one group (a category in a city, a city, …)."""

    def __init__(self, group: NDArray[np.int64], groups: int, popularity: NDArray[np.float64]) -> None:
        members = np.flatnonzero(group >= 0)
        order = members[np.argsort(group[members], kind="stable")]
        self._order = order.astype(np.int32)
        bounds = np.searchsorted(group[order], np.arange(groups + 1))
        self._bounds = bounds
        self._first, self._last = bounds[:-1], bounds[1:] - 1
        self._popularity = popularity
        self._weigh(popularity)

    def _weigh(self, popularity: NDArray[np.float64]) -> None:
        self._cumulative = np.concatenate([[0.0], np.cumsum(popularity[self._order])])
        self._low = self._cumulative[self._bounds[:-1]]
        self._high = self._cumulative[self._bounds[1:]]

    def times(self, factor: NDArray[np.float64]) -> "MerchantPicker":
        """The same groups, each merchant as many times as likely (> 0)."""
        other = copy(self)
        other._weigh(self._popularity * factor)
        return other

    def has(self, group: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether a group has any merchant."""
        return self._last[group] >= self._first[group]

    def pick(self, group: NDArray[np.int64], draw: NDArray[np.float64]) -> NDArray[np.int32]:
        """A merchant of each group, by a uniform draw in [0, 1); the group must not be empty."""
        low = self._low[group]
        place = np.searchsorted(self._cumulative, low + draw * (self._high[group] - low), side="right") - 1
        return self._order[np.minimum(np.maximum(place, self._first[group]), self._last[group])]
