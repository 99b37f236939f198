"""Time, CPU and memory that a rival measures of itself. Imports only the standard library."""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any


class Stopwatch:
    """Wall-clock and CPU time from the first record handed over to the last one processed."""

    def __init__(self) -> None:
        self._started: tuple[float, float] | None = None
        self.seconds = self.cpu_s = 0.0

    def start(self) -> None:
        """Call at the first record; later calls do nothing."""
        if self._started is None:
            self._started = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        """Call when the last record is processed."""
        assert self._started is not None, "no record arrived"
        self.seconds = time.perf_counter() - self._started[0]
        self.cpu_s = time.process_time() - self._started[1]

    def report(self, out: Path, events: int, seen: Any) -> None:
        """Write the report that `load_tests.benches.features.folding_rig` reads.

        Args:
            events: transactions processed.
            seen: results for the sampled cards; see `load_tests.benches.features.checks`.
        """
        report = {
            "events": events,
            "seconds": self.seconds,
            "cpu_s": self.cpu_s,
            "peak_mb": _peak_mb(),
            "seen": seen,
        }
        out.write_text(json.dumps(report))


def _peak_mb() -> float:
    """The largest resident memory so far, MB (2**20)."""
    status = Path("/proc/self/status")
    if status.exists():  # `resource` includes the parent's memory there
        (peak,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(peak.split()[1]) / 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def arguments() -> dict[str, Any]:
    """The one JSON object of the command line: kafka, redis, events, cards, out, …"""
    options: dict[str, Any] = json.loads(sys.argv[1])
    options["out"] = Path(options["out"])
    options["cards"] = set(options["cards"])
    return options
