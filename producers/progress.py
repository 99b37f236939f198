"""A progress bar for work that takes more than two seconds, on a terminal only."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from fraudsim.process.terminal import plain_console

QUIET_SECONDS: Final = 2.0


@contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yield a function to call with the number of steps done; the bar appears after `QUIET_SECONDS`."""
    if not sys.stderr.isatty():
        yield lambda _done: None
        return
    from rich.progress import Progress

    bar = Progress(console=plain_console(stderr=True), transient=True)
    task = bar.add_task(title, total=total)
    started = time.monotonic()

    def on_step(completed: int) -> None:
        if not bar.live.is_started and time.monotonic() - started > QUIET_SECONDS:
            bar.start()
        bar.update(task, completed=completed)

    try:
        yield on_step
    finally:
        bar.stop()
