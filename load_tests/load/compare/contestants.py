"""What is compared: a URL, or a commit whose line is started for each turn and ended after it."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from fraudsim.addresses import RunningLine, open_direct, running_line
from fraudsim.errors import FraudsimError
from fraudsim.polling import poll_until

START_S: Final = 900.0
"""A line makes its history and model first, on a machine that may be busy."""
STOP_S: Final = 120.0
LINE_RATE: Final = 10
"""Transactions a second of a line's own traffic, which keeps its clock running."""
LINE_CARDS: Final = 600


def is_url(text: str) -> bool:
    """Whether a contestant is a URL rather than a commit."""
    return re.match(r"https?://", text) is not None


@contextmanager
def checked_out(commit: str, repository: Path) -> Iterator[Path]:
    """A work tree of a commit, removed afterwards.

    Raises:
        FraudsimError: there is no such commit, or no repository.
    """
    folder = Path(tempfile.mkdtemp(prefix="fraudsim-compare-"))
    tree = folder / "tree"
    git = shutil.which("git")
    if git is None:
        raise FraudsimError("compare: git is not installed; name two URLs, or install it")
    made_tree = subprocess.run(
        [git, "-C", str(repository), "worktree", "add", "--detach", str(tree), commit],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    try:
        if made_tree.returncode:
            reason = (made_tree.stderr.strip().splitlines() or ["git failed"])[-1]
            raise FraudsimError(f"compare {commit}: no URL, and no commit here: {reason}")
        yield tree
    finally:
        subprocess.run(
            [git, "-C", str(repository), "worktree", "remove", "--force", str(tree)],
            capture_output=True, check=False,
        )  # fmt: skip
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def line_of(tree: Path, out: Path, reuse: Path | None) -> Iterator[RunningLine]:
    """A line started from a work tree; it has ended afterwards.

    Args:
        out: its run folder, which must not be there.
        reuse: a run folder whose history and model it takes.

    Raises:
        FraudsimError: it does not become ready.
    """
    words = ["up", "--rate", str(LINE_RATE), "--cards", str(LINE_CARDS), "--out", str(out)]
    words += ["--reuse", str(reuse)] if reuse is not None else []
    env = {**os.environ, "PYTHONPATH": str(tree), "FRAUDSIM_RUNS_DIR": str(out.parent)}
    log = out.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "fraudsim", *words],
            cwd=tree, env=env, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    try:
        yield _await_ready(process, out, log)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)  # SIGINT is ignored below a shell in the background
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_ready(process: "subprocess.Popen[bytes]", out: Path, log: Path) -> RunningLine:
    def ready_line() -> RunningLine | None:
        line = running_line(out)
        # The clock runs once the producer has started.
        return line if line is not None and "producer" in line.parts and _is_ready(line) else None

    def has_begun_or_ended() -> bool:
        return process.poll() is not None or ready_line() is not None

    begun = poll_until(has_begun_or_ended, START_S, every_s=0.2)
    if process.poll() is not None:
        lines = log.read_text(errors="replace").strip().splitlines() or ["it ended without a word"]
        raise FraudsimError(f"the line did not start: {lines[-1]} ({log})")
    line = ready_line() if begun else None
    if line is None:
        raise FraudsimError(f"the line was not ready after {START_S:g} s ({log})")
    return line


def _is_ready(line: RunningLine) -> bool:
    try:
        with open_direct(f"{line.http_url}/readyz", timeout_s=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
