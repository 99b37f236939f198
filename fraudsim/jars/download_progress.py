"""Display of a download by rich: a bar on a terminal, else one line at the start and one at the end."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fraudsim.process.terminal import plain_console


class DownloadProgress:
    """The progress of a download of jars; its methods are called from several threads."""

    def __init__(self, label: str, jars: int) -> None:
        self._label, self._jars = label, jars
        self._started_s = time.monotonic()
        self._is_shown = sys.stderr.isatty()
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("jars {task.fields[megabytes]:.1f} MB"),
            TimeElapsedColumn(),
            console=plain_console(stderr=True),
            disable=not self._is_shown,
        )
        self._task = self.bar.add_task(f"downloading {label}", total=jars, megabytes=0.0)
        self._bytes = 0
        self._lock = threading.Lock()
        self._say(f"downloading {label} ({jars} jars) …")

    @contextmanager
    def file(self, name: str, size_bytes: int) -> Iterator[Callable[[int], None]]:
        """A file begins. The context manager's value takes the bytes received since its last call."""
        yield self._add

    def _add(self, size_bytes: int) -> None:
        with self._lock:
            self._bytes += size_bytes
            self.bar.update(self._task, megabytes=self._bytes / 1e6)

    def jar_done(self) -> None:
        """A jar is complete and verified."""
        self.bar.advance(self._task)

    def finished(self) -> None:
        """All jars are complete."""
        elapsed_s = time.monotonic() - self._started_s
        self._say(
            f"downloaded {self._label}: {self._jars} jars, {self._bytes / 1e6:.0f} MB in {elapsed_s:.1f} s"
        )

    def _say(self, line: str) -> None:
        if not self._is_shown:
            print(line, file=sys.stderr, flush=True)


@contextmanager
def download_progress(label: str, jars: int) -> Iterator[DownloadProgress]:
    """Show the download of `jars` jars, named `label`, on stderr."""
    progress = DownloadProgress(label, jars)
    with progress.bar:
        yield progress
