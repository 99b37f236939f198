"""One core for the server that is measured, another for all that drives it."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Cores:
    """Sets of core numbers; empty where the system cannot pin (macOS) or there is only one core."""

    server: frozenset[int]
    driver: frozenset[int]

    @property
    def said(self) -> str:
        """For people."""
        if not self.server:
            return "not pinned: this system cannot, or has one core"
        return f"server on core {min(self.server)}, load generator and Redis on core {min(self.driver)}"


def two_cores() -> Cores:
    """The first two cores that this process may use."""
    may = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(may) < 2:
        return Cores(frozenset(), frozenset())
    return Cores(frozenset(may[:1]), frozenset(may[1:2]))


@contextlib.contextmanager
def pinned(cores: frozenset[int]) -> Iterator[None]:
    """This thread, and every process that it starts meanwhile, on these cores; any where there are none."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def family(pid: int) -> list[psutil.Process]:
    """A process and all it started that still runs; empty once it has ended."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_s(processes: Sequence[psutil.Process]) -> float:
    """CPU time that processes have used so far, in seconds; one that has ended counts for nothing."""
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            used = process.cpu_times()
            total += used.user + used.system
    return total


def machine_cpu_s() -> float:
    """CPU time that the whole machine has used so far, in seconds over all cores."""
    used = psutil.cpu_times()
    return float(used.user + used.system + used.nice + getattr(used, "irq", 0) + getattr(used, "softirq", 0))
