"""Draws of merchants by popularity within groups."""

from copy import copy

import numpy as np

from fraudsim.arrays import Doubles, Flags, Int32s, Ints


class MerchantPicker:
    """Draws merchants by popularity within a group (a category, a city, a category in a city, …).

    Args:
        group: group of each merchant, -1 for merchants in no group.
        groups: number of groups.
        popularity: weight of each merchant, > 0.
    """

    def __init__(self, group: Ints, groups: int, popularity: Doubles) -> None:
        members = np.flatnonzero(group >= 0)
        order = members[np.argsort(group[members], kind="stable")]
        self._order = order.astype(np.int32)
        edges = np.searchsorted(group[order], np.arange(groups + 1))
        self._edges = edges
        self._first, self._last = edges[:-1], edges[1:] - 1
        self._popularity = popularity
        self._set_weights(popularity)

    def _set_weights(self, popularity: Doubles) -> None:
        self._cumulative = np.concatenate([[0.0], np.cumsum(popularity[self._order])])
        self._low = self._cumulative[self._edges[:-1]]
        self._high = self._cumulative[self._edges[1:]]

    def reweighted(self, factor: Doubles) -> "MerchantPicker":
        """The same groups with each merchant's weight multiplied by a factor > 0."""
        other = copy(self)
        other._set_weights(self._popularity * factor)
        return other

    def has(self, group: Ints) -> Flags:
        """Which groups have a merchant."""
        return self._last[group] >= self._first[group]

    def pick(self, group: Ints, draw: Doubles) -> Int32s:
        """One merchant per group, by a uniform draw in [0, 1); no group may be empty."""
        low = self._low[group]
        index = np.searchsorted(self._cumulative, low + draw * (self._high[group] - low), side="right") - 1
        return self._order[np.minimum(np.maximum(index, self._first[group]), self._last[group])]
