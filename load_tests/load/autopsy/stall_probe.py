"""A process that does nothing and notes when it could not: stalls of the machine's scheduler.

    python -m load_tests.load.autopsy.stall_probe FILE [--spin]

It wakes every millisecond and takes 1 % of a core; with `--spin` it takes a whole core and sees stalls from
half a millisecond on.
"""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

SLEEP_S: Final = 0.001
SLEEPING_GAP_S: Final = 0.005
SPINNING_GAP_S: Final = 0.0005


def watch(path: Path, spin: bool) -> None:
    """Append a line `start end` (wall clock, µs) for each stall, for ever."""
    gap_s = SPINNING_GAP_S if spin else SLEEPING_GAP_S
    with path.open("w", buffering=1) as file:
        last_s = time.perf_counter()
        while True:
            if not spin:
                time.sleep(SLEEP_S)
            now_s = time.perf_counter()
            if now_s - last_s > gap_s:
                end_us = time.time_ns() // 1000
                file.write(f"{end_us - round(1e6 * (now_s - last_s))} {end_us}\n")
            last_s = now_s


@contextmanager
def stall_probe(path: Path, spin: bool) -> Iterator[None]:
    """Watch in a process of its own for the length of the block."""
    words = [sys.executable, "-m", "load_tests.load.autopsy.stall_probe", str(path)]
    process = subprocess.Popen([*words, *(["--spin"] if spin else [])], start_new_session=True)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def read_stalls(path: Path) -> list[tuple[int, int]]:
    """The stalls in a file; a line that was cut is left out."""
    stalls = []
    with contextlib.suppress(OSError):
        for line in path.read_text().splitlines():
            with contextlib.suppress(ValueError):
                start_us, end_us = map(int, line.split())
                stalls.append((start_us, end_us))
    return stalls


if __name__ == "__main__":
    watch(Path(sys.argv[1]), "--spin" in sys.argv[2:])
