"""What a process and all that it started have used."""

import contextlib
from pathlib import Path
from typing import Final

import psutil

PEAK: Final = "VmHWM:"


def tree(pid: int) -> list[psutil.Process]:
    """The process and its descendants, as far as they still live."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_s(pid: int) -> float:
    """User and system time of the tree, s."""
    used = 0.0
    for process in tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            used += times.user + times.system
    return used


def peak_mb(pid: int) -> float:
    """The largest resident memory of each process so far, added up, MB (2**20); where the system does not
    keep it, what is resident now."""
    size = 0.0
    for process in tree(pid):
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
