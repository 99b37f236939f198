"""A long-lived process and its collector: what start-up made is left alone, the rest is seldom walked."""

import gc
from typing import Final

YOUNG: Final = 5_000
"""Containers made and not freed since, at which the youngest are walked: more than a batch holds. At Python's
own 700 every other batch starts a collection, which finds nothing; over 5,000 it takes some 2 ms."""


def freeze_gc() -> None:
    """Collect once, and keep what is left out of later collections.

    Imports and compiled kernels are some hundred thousand objects. A full collection walks them all, in
    60 to 180 ms here, several times in the first minute, while the process does nothing else.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
