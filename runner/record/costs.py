"""What a run costs: CPU a transaction, memory and disk of each process, sampled while it runs."""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psutil

Pids = Callable[[], Mapping[str, int | None]]
"""The processes by name, at present; None for one that does not run."""


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


@dataclass(frozen=True)
class ProcessCost:
    """What a process took between two samples."""

    cpu_s: float
    memory_mb: float
    """The largest resident memory of a sample."""
    written_bytes: int
    """To disk."""

    def as_json(self, transactions: int, seconds: float) -> dict[str, float]:
        """Per transaction and per second, for reports."""
        return {
            "cpu_us": round(1e6 * self.cpu_s / max(transactions, 1), 1),
            "core_share": round(self.cpu_s / max(seconds, 1e-9), 4),
            "memory_mb": round(self.memory_mb, 1),
            "written_bytes": round(self.written_bytes / max(transactions, 1), 1),
        }


class CostMeter:
    """Samples processes; one that is restarted goes on under its name."""

    def __init__(self, pids: Pids) -> None:
        self._pids = pids
        self._first: dict[tuple[str, int], tuple[float, int]] = {}
        self._last: dict[tuple[str, int], tuple[float, int]] = {}
        self._memory_mb: dict[str, float] = {}
        self._started_s = self._sampled_s = time.monotonic()
        self._sample(is_first=True)

    @property
    def seconds(self) -> float:
        """From the first to the last sample."""
        return self._sampled_s - self._started_s

    def sample(self, at_least_s: float = 1.0) -> None:
        """Take a sample, unless the last one is younger than this."""
        if time.monotonic() - self._sampled_s >= at_least_s:
            self._sample(is_first=False)

    def costs(self) -> dict[str, ProcessCost]:
        """By name: what was taken from the first to the last sample."""
        by_name: dict[str, ProcessCost] = {}
        for key, (cpu, written) in self._last.items():
            first_cpu, first_written = self._first[key]
            name = key[0]
            before = by_name.get(name, ProcessCost(0.0, 0.0, 0))
            by_name[name] = ProcessCost(
                before.cpu_s + cpu - first_cpu,
                self._memory_mb[name],
                before.written_bytes + written - first_written,
            )
        return by_name

    def as_json(self, transactions: int) -> dict[str, Any]:
        """The costs for a report."""
        seconds = self.seconds
        return {
            "transactions": transactions,
            "seconds": round(seconds, 3),
            "processes": {name: cost.as_json(transactions, seconds) for name, cost in self.costs().items()},
        }

    def _sample(self, is_first: bool) -> None:
        for name, pid in self._pids().items():
            tree = process_tree(pid) if pid is not None else []
            if pid is None or not tree:
                continue
            use = cpu_s(tree), _written(tree)
            # What starts later has used nothing before the first sample.
            self._first.setdefault((name, pid), use if is_first else (0.0, 0))
            self._last[name, pid] = use
            self._memory_mb[name] = max(self._memory_mb.get(name, 0.0), _memory_mb(tree))
        self._sampled_s = time.monotonic()


def _memory_mb(tree: Sequence[psutil.Process]) -> float:
    size = 0
    for process in tree:
        with contextlib.suppress(psutil.NoSuchProcess):
            size += process.memory_info().rss
    return size / 2**20


def _written(tree: Sequence[psutil.Process]) -> int:
    count = 0
    for process in tree:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied, AttributeError):
            count += process.io_counters().write_bytes
    return count
