"""CPU time and memory of a process and its descendants."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psutil

PEAK: Final = "VmHWM:"


def process_tree(pid: int) -> list[psutil.Process]:
    """A process and its descendants that still run; empty once the process has ended."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_s(processes: Sequence[psutil.Process]) -> float:
    """User and system time of processes so far, in seconds; one that has ended counts as 0."""
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def machine_cpu_s() -> float:
    """CPU time of the whole machine so far, in seconds over all cores."""
    times = psutil.cpu_times()
    interrupts = getattr(times, "irq", 0) + getattr(times, "softirq", 0)
    return float(times.user + times.system + times.nice + interrupts)


def peak_mb(pid: int) -> float:
    """Sum over the tree of each process's largest resident memory so far, MB (2**20).

    Where the system does not keep that peak, the present resident memory stands in.
    """
    size = 0.0
    for process in process_tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess, OSError):
            size += _peak_bytes(process)
    return size / 2**20


def _peak_bytes(process: psutil.Process) -> float:
    status = Path(f"/proc/{process.pid}/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith(PEAK):
                return float(line.split()[1]) * 1024
    return float(process.memory_info().rss)
