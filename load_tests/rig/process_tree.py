"""CPU time and memory of a process and its descendants."""

import contextlib
from pathlib import Path
from typing import Final

import psutil

from runner.record.costs import cpu_s, process_tree

__all__ = ["cpu_s", "machine_cpu_s", "peak_mb", "process_tree"]
PEAK: Final = "VmHWM:"


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
