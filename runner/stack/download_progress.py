"""Display of a download: a bar on a terminal, else one line at the start and one at the end."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class DownloadProgress(Protocol):
    """Receives the progress of a download; called from several threads."""

    def file(self, name: str, size_bytes: int) -> AbstractContextManager[Callable[[int], None]]:
        """A file begins. The context manager's value takes the bytes received since its last call."""
        ...

    def jar_done(self) -> None:
        """A jar is complete and verified."""
        ...

    def finished(self, elapsed_s: float) -> None:
        """All jars are complete."""
        ...


class _LineProgress:
    """A line at the start and one at the end, on stderr."""

    def __init__(self, label: str, jars: int) -> None:
        self._label, self._jars = label, jars
        self._bytes = 0
        self._lock = threading.Lock()
        self._print(f"downloading {label} ({jars} jars) …")

    def _print(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    def _add(self, size_bytes: int) -> None:
        with self._lock:
            self._bytes += size_bytes

    @contextmanager
    def file(self, name: str, size_bytes: int) -> Iterator[Callable[[int], None]]:
        yield self._add

    def jar_done(self) -> None:
        pass

    def finished(self, elapsed_s: float) -> None:
        self._print(
            f"downloaded {self._label}: {self._jars} jars, {self._bytes / 1e6:.0f} MB in {elapsed_s:.1f} s"
        )


class _BarProgress(_LineProgress):
    """A bar that counts jars and shows the megabytes received so far."""

    def __init__(self, label: str, jars: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("jars {task.fields[megabytes]:.1f} MB"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task(f"downloading {label}", total=jars, megabytes=0.0)
        super().__init__(label, jars)
        self._bar.start()

    def _print(self, line: str) -> None:
        pass

    def _add(self, size_bytes: int) -> None:
        super()._add(size_bytes)
        self._bar.update(self._task, megabytes=self._bytes / 1e6)

    def jar_done(self) -> None:
        self._bar.advance(self._task)

    def close(self) -> None:
        self._bar.stop()


@contextmanager
def download_progress(label: str, jars: int) -> Iterator[DownloadProgress]:
    """Show the download of `jars` jars, named `label`, on stderr."""
    if not sys.stderr.isatty():
        yield _LineProgress(label, jars)
        return
    bar = _BarProgress(label, jars)
    try:
        yield bar
    finally:
        bar.close()
