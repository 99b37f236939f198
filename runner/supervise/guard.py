"""The supervisor's line to its reaper, and children that cannot start before the reaper knows them."""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from runner.supervise import reaper
from runner.supervise.reaper import start_token

# The shell waits for a line on the pipe, then becomes the program: the pid stays, and where the parent dies
# between the fork and the word to the reaper, the read fails and nothing runs.
_GATE = 'read -r _ </dev/fd/"$0" && exec "$@"'


class Guard:
    """Starts processes, each leading its own process group, that die with this process.

    Thread-safe. A reaper that is killed is replaced.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._children: dict[int, str] = {}
        self._closed = False
        self._reaper = self._start_reaper()

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
    ) -> "subprocess.Popen[bytes]":
        """Start a process whose group the reaper ends if this process dies.

        `output` takes both standard output and standard error; None leaves this process's own. The child
        stays in this session: Linux shares the processor out by session first (autogroup), so that with one
        each, niceness would say nothing, and who has little to do would wait as long as who has much.
        """
        read_end, write_end = os.pipe()
        try:
            child = subprocess.Popen(
                ["/bin/sh", "-c", _GATE, str(read_end), *argv],
                env=dict(env),
                stdin=stdin,
                stdout=output,
                stderr=None if output is None else subprocess.STDOUT,
                process_group=0,
                pass_fds=(read_end, *pass_fds),
            )
            os.close(read_end)
            read_end = -1
            self._add(child.pid)
            with contextlib.suppress(BrokenPipeError):  # killed already: whoever waits for it will see
                os.write(write_end, b"\n")
        finally:
            os.close(write_end)
            if read_end >= 0:
                os.close(read_end)
        return child

    def forget(self, pid: int) -> None:
        """The process group of `pid` is gone."""
        with self._lock:
            if self._children.pop(pid, None) is not None:
                self._tell(f"-{pid}\n")

    def close(self) -> None:
        """End the reaper; what is still on its list is ended with it. Returns when it is done."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._hang_up()
        self._reaper.wait()

    def _add(self, pid: int) -> None:
        token = start_token(pid)
        with self._lock:
            self._children[pid] = token
            self._tell(f"+{pid} {token}\n")

    def _tell(self, line: str) -> None:
        if self._closed:
            return
        try:
            self._write(line)
        except BrokenPipeError:
            self._hang_up()
            self._reaper.wait()
            self._reaper = self._start_reaper()
            self._write("".join(f"+{pid} {token}\n" for pid, token in self._children.items()))

    def _write(self, text: str) -> None:
        assert self._reaper.stdin is not None
        self._reaper.stdin.write(text.encode())

    def _hang_up(self) -> None:
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
