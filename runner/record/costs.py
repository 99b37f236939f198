"""What a run costs: CPU a transaction, memory, disk and network of each process, sampled while it runs."""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psutil

from runner.record.wire_bytes import ConnectionBytes, Connections, connections_of, tcp_connections

Pids = Callable[[], Mapping[str, int | None]]
"""The processes by name, at present; None for one that does not run."""


def process_tree(pid: int) -> list[psutil.Process]:
    """A process and its descendants that still run; empty once the process has ended."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_s(processes: Sequence[psutil.Process], *, with_ended: bool = False) -> float:
    """User and system time of processes so far, in seconds; one that has ended counts as 0.

    Args:
        with_ended: also that of their children that have ended, where the system says it (Linux).
    """
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
            if with_ended:
                total += getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return total


@dataclass(frozen=True)
class ProcessCost:
    """What a process took between two samples."""

    cpu_s: float
    memory_mb: float
    """The largest resident memory of a sample."""
    written_bytes: int
    """To disk."""
    sent_bytes: int | None
    """Over TCP, to other processes of this machine too; None where the system does not say."""
    received_bytes: int | None

    def as_json(self, transactions: int, seconds: float) -> dict[str, float | None]:
        """Per transaction and per second, for reports."""
        counted = max(transactions, 1)
        return {
            "cpu_us": round(1e6 * self.cpu_s / counted, 1),
            "core_share": round(self.cpu_s / max(seconds, 1e-9), 4),
            "memory_mb": round(self.memory_mb, 1),
            "written_bytes": round(self.written_bytes / counted, 1),
            "sent_bytes": None if self.sent_bytes is None else round(self.sent_bytes / counted, 1),
            "received_bytes": None
            if self.received_bytes is None
            else round(self.received_bytes / counted, 1),
        }


@dataclass(frozen=True)
class _Use:
    """What a process has used so far."""

    cpu_s: float = 0.0
    written_bytes: int = 0
    connections: Connections = field(default_factory=dict)
    """The latest counters of each, also of those that it has closed since."""

    def traffic_since(self, first: "_Use") -> tuple[int, int]:
        """Bytes sent and received."""
        none = ConnectionBytes(0, 0)
        pairs = [(last, first.connections.get(key, none)) for key, last in self.connections.items()]
        return (
            sum(last.sent - before.sent for last, before in pairs),
            sum(last.received - before.received for last, before in pairs),
        )


class CostMeter:
    """Samples processes; one that is restarted goes on under its name."""

    def __init__(self, pids: Pids) -> None:
        self._pids = pids
        self._first: dict[tuple[str, int], _Use] = {}
        self._last: dict[tuple[str, int], _Use] = {}
        self._has_traffic = True
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
        totals: dict[str, tuple[float, int, int, int]] = {}
        for key, last in self._last.items():
            first = self._first[key]
            cpu, written, sent, received = totals.get(key[0], (0.0, 0, 0, 0))
            more_sent, more_received = last.traffic_since(first)
            totals[key[0]] = (
                cpu + last.cpu_s - first.cpu_s,
                written + last.written_bytes - first.written_bytes,
                sent + more_sent,
                received + more_received,
            )
        return {
            name: ProcessCost(
                cpu,
                self._memory_mb[name],
                written,
                *((sent, received) if self._has_traffic else (None, None)),
            )
            for name, (cpu, written, sent, received) in totals.items()
        }

    def as_json(self, transactions: int) -> dict[str, Any]:
        """The costs for a report."""
        seconds = self.seconds
        return {
            "transactions": transactions,
            "seconds": round(seconds, 3),
            "processes": {name: cost.as_json(transactions, seconds) for name, cost in self.costs().items()},
        }

    def _sample(self, is_first: bool) -> None:
        connections = tcp_connections()
        self._has_traffic &= connections is not None
        for name, pid in self._pids().items():
            tree = process_tree(pid) if pid is not None else []
            if pid is None or not tree:
                continue
            before = self._last.get((name, pid), _Use())
            own = connections_of(tree, connections or {})
            use = _Use(cpu_s(tree), _written(tree), {**before.connections, **own})
            # What starts later has used nothing before the first sample.
            self._first.setdefault((name, pid), use if is_first else _Use())
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
