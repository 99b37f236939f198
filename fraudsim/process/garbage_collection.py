"""Garbage collection in a long-lived process: start-up objects are frozen, the rest is rarely scanned."""

import gc
import time
from collections.abc import Callable
from typing import Any, Final

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


PAUSE_MS: Final = 2.0
"""Collections that took longer are reported."""


def watch_collections(on_pause: Callable[[float, int], None]) -> None:
    """Call `on_pause` with milliseconds and generation after every collection longer than `PAUSE_MS`."""
    started_s = 0.0

    def watch(phase: str, info: dict[str, Any]) -> None:
        nonlocal started_s
        if phase == "start":
            started_s = time.perf_counter()
        elif (pause_ms := (time.perf_counter() - started_s) * 1000) > PAUSE_MS:
            on_pause(pause_ms, info["generation"])

    gc.callbacks.append(watch)
