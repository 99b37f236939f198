"""A small set of hashes for the compiled kernels: open addressing in a slice of words, where 0 is free.

It is compiled into both kernels, and numba's cache does not notice a change here: change a line there too.
"""

from numba import njit

from fraudsim.arrays import Ints

WORDS = 128
"""Size of a set: twice the most members that it may get, so that probes stay short."""
MASK = WORDS - 1


@njit(cache=True)
def add(table: Ints, base: int, member: int) -> bool:
    """Add `member`, not 0, to the set in words [base, base + WORDS); False where it was a member already."""
    index = member & MASK
    while True:
        occupant = table[base + index]
        if occupant == member:
            return False
        if occupant == 0:
            table[base + index] = member
            return True
        index = (index + 1) & MASK
