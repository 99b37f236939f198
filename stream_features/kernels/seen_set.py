"""A small set of hashes inside the compiled kernels: open addressing over a slice of words, 0 is free.

It is compiled into both kernels, whose caches do not notice a change here: change a line there too.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

WORDS = 128
"""Twice the most members that a set may get, so that probes stay short."""
MASK = WORDS - 1


@njit(cache=True)
def add(table: npt.NDArray[np.int64], base: int, member: int) -> bool:
    """Whether `member`, not 0, was new to the set in words [base, base + WORDS)."""
    at = member & MASK
    while True:
        there = table[base + at]
        if there == member:
            return False
        if there == 0:
            table[base + at] = member
            return True
        at = (at + 1) & MASK
