"""Starts child processes that the reaper ends if this process dies.

No child program starts before the reaper has been told of it.
"""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from runner.supervise import reaper
from runner.supervise.reaper import KILL, is_group_alive, signal_group, start_token

# The shell waits for a line on the pipe, then becomes the program under the same pid. If the parent dies
# before it has told the reaper, the read fails and the program does not start.
_GATE = 'read -r _ </dev/fd/"$0" && exec "$@"'


_KILLED_WITHIN_S = 5.0
_guards: "weakref.WeakSet[Guard]" = weakref.WeakSet()


def kill_everything() -> None:
    """Kill all processes that this process's guards and process pools have started, at once.

    For a signal handler: it takes no lock, because the interrupted code may hold it. No guard starts a
    process afterwards. End this process next: the reapers end what was being started meanwhile.
    """
    pids = [pid for guard in list(_guards) for pid in guard.kill()]
    for process in multiprocessing.active_children():
        process.kill()
    deadline = time.monotonic() + _KILLED_WITHIN_S
    while any(map(is_group_alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.01)


class GuardClosedError(RuntimeError):
    """The guard is closed, so that it starts no process any more."""


class Guard:
    """Starts processes, each the leader of its own process group, that end with this process.

    Thread-safe. A killed reaper is replaced.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._children: dict[int, str] = {}
        self._closed = False
        self._reaper = self._start_reaper()
        _guards.add(self)

    @property
    def reaper_pid(self) -> int:
        """Process id of the reaper."""
        return self._reaper.pid

    def popen(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        stdin: int | IO[Any] | None,
        output: int | IO[Any] | None,
        pass_fds: Sequence[int] = (),
        cwd: Path | None = None,
    ) -> "subprocess.Popen[bytes]":
        """Start a process whose group the reaper ends if this process dies.

        `output` receives standard output and standard error; None inherits this process's own. The child
        stays in this session: Linux divides the processor among sessions first (autogroup). With a session
        for each child, niceness would have no effect, and a nearly idle process would wait as long as a busy
        one.

        Raises:
            GuardClosedError: `close` or `kill` was called.
        """
        if self._closed:
            raise GuardClosedError
        read_end, write_end = os.pipe()
        try:
            child = subprocess.Popen(
                ["/bin/sh", "-c", _GATE, str(read_end), *argv],
                env=dict(env),
                cwd=cwd,
                stdin=stdin,
                stdout=output,
                stderr=None if output is None else subprocess.STDOUT,
                process_group=0,
                pass_fds=(read_end, *pass_fds),
            )
            os.close(read_end)
            read_end = -1
            self._add(child.pid)
            with contextlib.suppress(BrokenPipeError):  # already killed: `wait` on the child reports it
                os.write(write_end, b"\n")
        finally:
            os.close(write_end)
            if read_end >= 0:
                os.close(read_end)
        return child

    def forget(self, pid: int) -> None:
        """Take the process group of `pid`, which has ended, off the reaper's list."""
        with self._lock:
            if self._children.pop(pid, None) is not None:
                self._send(f"-{pid}\n")

    def close(self) -> None:
        """End the reaper, which first ends the groups still on its list. Returns when it has exited."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._close_pipe()
        self._reaper.wait()

    def kill(self) -> list[int]:
        """Kill every process group at once, without taking a lock; returns the leaders' process ids."""
        self._closed = True
        pids = [*self._children]
        for pid in pids:
            signal_group(pid, signal.SIGKILL)
        with contextlib.suppress(OSError, ValueError):
            self._write(KILL)  # for processes that another thread is starting now
        return pids

    def _add(self, pid: int) -> None:
        token = start_token(pid)
        with self._lock:
            if self._closed:
                raise GuardClosedError  # the program has not started, and will not
            self._children[pid] = token
            self._send(f"+{pid} {token}\n")

    def _send(self, line: str) -> None:
        if self._closed:
            return
        try:
            self._write(line)
        except BrokenPipeError:
            self._close_pipe()
            self._reaper.wait()
            self._reaper = self._start_reaper()
            self._write("".join(f"+{pid} {token}\n" for pid, token in self._children.items()))

    def _write(self, text: str) -> None:
        assert self._reaper.stdin is not None
        self._reaper.stdin.write(text.encode())

    def _close_pipe(self) -> None:
        assert self._reaper.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._reaper.stdin.close()

    @staticmethod
    def _start_reaper() -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(reaper.__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            bufsize=0,
        )
