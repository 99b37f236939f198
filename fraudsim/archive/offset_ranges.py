"""Ranges of offsets: which offsets of each partition a file holds, and which are missing. Pure."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

Ranges = dict[int, list[tuple[int, int]]]
"""Per partition, ascending [first, last] of offsets, both ends included."""


def ranges_of(table: pa.Table) -> Ranges:
    """The offsets of a table's records, which ascend in each partition."""
    partitions, offsets = table["partition"].to_numpy(), table["offset"].to_numpy()
    ranges: Ranges = {}
    for partition in np.unique(partitions).tolist():
        ascending = offsets[partitions == partition]
        runs = np.split(ascending, np.flatnonzero(np.diff(ascending) != 1) + 1)
        ranges[partition] = [(int(run[0]), int(run[-1])) for run in runs]
    return ranges


def merge_ranges(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ascending ranges that neither overlap nor touch.

    >>> merge_ranges([(5, 9), (0, 4), (12, 12)])
    [(0, 9), (12, 12)]
    """
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def without(ranges: Iterable[tuple[int, int]], others: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The offsets of ascending ranges that others, ascending and apart, do not hold.

    >>> without([(0, 9), (12, 12)], [(3, 4), (9, 20)])
    [(0, 2), (5, 8)]
    """
    left: list[tuple[int, int]] = []
    holes = list(others)
    for first, last in ranges:
        start = first
        for hole_first, hole_last in holes:
            if hole_last < start or hole_first > last:
                continue
            if hole_first > start:
                left.append((start, hole_first - 1))
            start = hole_last + 1
        if start <= last:
            left.append((start, last))
    return left


def gaps_in(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The ranges of offsets that are missing between 0 and the last offset.

    >>> gaps_in([(2, 3), (6, 9)])
    [(0, 1), (4, 5)]
    """
    gaps: list[tuple[int, int]] = []
    expected = 0
    for first, last in merge_ranges(ranges):
        if first > expected:
            gaps.append((expected, first - 1))
        expected = last + 1
    return gaps
