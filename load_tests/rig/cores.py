"""Pinning to cores: one core for the program that is measured, another for what drives it."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Cores:
    """Sets of core numbers; empty where the system cannot pin (macOS) or there is only one core."""

    server: frozenset[int]
    driver: frozenset[int]

    @property
    def description(self) -> str:
        """The clause of a protocol that says how processes were pinned."""
        if not self.server:
            return "not pinned: this system cannot, or has one core"
        return f"server on core {min(self.server)}, load generator and Redis on core {min(self.driver)}"


def two_cores() -> Cores:
    """The first two cores that this process may use."""
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(allowed) < 2:
        return Cores(frozenset(), frozenset())
    return Cores(frozenset(allowed[:1]), frozenset(allowed[1:2]))


def usable_cores() -> list[int]:
    """The cores that this process may use, ascending; [0] where the system cannot pin."""
    if not hasattr(os, "sched_getaffinity"):
        return [0]
    return sorted(os.sched_getaffinity(0))


@contextlib.contextmanager
def pinned(cores: frozenset[int]) -> Iterator[None]:
    """Pin this thread, and every process that it starts in the block; an empty set pins nothing."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def pin(pid: int, core: int) -> None:
    """Pin a running process, with its present and future threads, to a core, where the system can."""
    if not hasattr(os, "sched_setaffinity"):
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        for thread in psutil.Process(pid).threads():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(thread.id, {core})
