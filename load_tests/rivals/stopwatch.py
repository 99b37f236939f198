"""What a rival measures of itself, and how it tells. Imports nothing that a rival's .venv may lack."""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any


class Stopwatch:
    """Wall-clock and processor time from the first record handed over to the last one done with."""

    def __init__(self) -> None:
        self._began: tuple[float, float] | None = None
        self.seconds = self.cpu_s = 0.0

    def start(self) -> None:
        """At the first record; later calls do nothing."""
        if self._began is None:
            self._began = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        """At the last record, done with."""
        assert self._began is not None, "no record came"
        self.seconds = time.perf_counter() - self._began[0]
        self.cpu_s = time.process_time() - self._began[1]

    def report(self, out: Path, events: int, seen: Any) -> None:
        """Write what `load_tests.benches.features.bench` reads.

        Args:
            events: transactions done with.
            seen: what shows that the work was done; see `load_tests.benches.features.checks`.
        """
        found = {
            "events": events,
            "seconds": self.seconds,
            "cpu_s": self.cpu_s,
            "peak_mb": _peak_mb(),
            "seen": seen,
        }
        out.write_text(json.dumps(found))


def _peak_mb() -> float:
    """The largest resident memory so far, MB (2**20)."""
    status = Path("/proc/self/status")
    if status.exists():  # what `resource` tells there includes the memory of whoever started this process
        (peak,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(peak.split()[1]) / 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def arguments() -> dict[str, Any]:
    """What the bench says on the command line, one JSON object: kafka, redis, events, cards, out, …"""
    given: dict[str, Any] = json.loads(sys.argv[1])
    given["out"] = Path(given["out"])
    given["cards"] = set(given["cards"])
    return given
