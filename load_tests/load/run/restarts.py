"""Restarts of a line's scorer, so that an interval covers how a process happens to start."""

import os
import signal
from pathlib import Path
from typing import Final

from fraudsim.addresses import open_direct, running_line
from fraudsim.errors import FraudsimError
from fraudsim.polling import poll_until

SCORER: Final = "scorer"
RESTART_S: Final = 90.0


def restart_scorer(run: Path) -> None:
    """End the scorer of the line that runs in a folder, and wait until its successor is ready.

    Raises:
        FraudsimError: no line runs there, or the scorer does not come back.
    """
    line = running_line(run)
    pid = line.parts[SCORER].pid if line is not None and SCORER in line.parts else None
    if line is None or pid is None:
        raise FraudsimError(f"--run {run}: no scorer runs there; start a line with `fraudsim up`")
    os.kill(pid, signal.SIGTERM)

    def is_back() -> bool:
        present = running_line(run)
        if present is None:
            raise FraudsimError(f"--run {run}: the line has ended")
        if present.parts[SCORER].pid in (None, pid):
            return False
        try:
            with open_direct(f"{present.http_url}/readyz", timeout_s=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    if not poll_until(is_back, RESTART_S, every_s=0.2):
        raise FraudsimError(f"--run {run}: the scorer was not ready {RESTART_S:g} s after its restart")
