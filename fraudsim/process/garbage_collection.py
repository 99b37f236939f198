"""Garbage collection in a long-lived process: start-up objects are frozen, the rest is rarely scanned."""

import gc
from typing import Final

YOUNG: Final = 5_000
"""Allocations minus deallocations of containers that start a collection of the youngest generation: more than
a batch leaves. With Python's own 700 every other batch starts one, which finds nothing; over 5,000 containers
it takes some 2 ms."""


def freeze_gc() -> None:
    """Collect once, and exclude the objects that remain from later collections.

    Imports and compiled kernels are some hundred thousand objects. A full collection scans them all, in 60 to
    180 ms here, several times in the first minute, while the process does nothing else.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
