"""Tumbling windows for the compiled kernels: a window begins at the last multiple of its length.

It is compiled into both kernels, and numba's cache does not notice a change here: change a line there too.
"""

from numba import njit

from fraudsim.arrays import Ints


@njit(cache=True)
def tumble(spec: Ints, row_spec: Ints, now: int) -> None:
    """Write `spec` into `row_spec` with each window (column 1) cut at its last multiple, ascending again."""
    for i in range(spec.shape[0]):
        window = now - now // spec[i, 1] * spec[i, 1]
        index = i
        while index > 0 and row_spec[index - 1, 1] > window:
            for k in range(spec.shape[1]):
                row_spec[index, k] = row_spec[index - 1, k]
            index -= 1
        for k in range(spec.shape[1]):
            row_spec[index, k] = spec[i, k]
        row_spec[index, 1] = window
