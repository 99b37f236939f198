"""Running one command in the foreground, as a shell would, under a guard that ends it with this process."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType

from fraudsim.errors import FraudsimError
from runner.supervise.guard import Guard
from runner.supervise.reaper import end_groups

_GRACE_S = 10.0


class Terminated(BaseException):
    """SIGTERM or SIGHUP arrived; like KeyboardInterrupt, it unwinds what is open on its way out."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


@contextmanager
def unwinding_on_signals() -> Iterator[None]:
    """Within the block SIGTERM and SIGHUP raise `Terminated` in the main thread; main thread only."""

    def unwind(number: int, _: FrameType | None) -> None:
        raise Terminated(number)

    earlier = {number: signal.signal(number, unwind) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def run_foreground(argv: Sequence[str], env: Mapping[str, str], guard: Guard) -> int:
    """Run a command with this process's terminal and output; returns its exit code, 128 + n for signal n.

    The command leads its own process group, which gets the terminal: Ctrl-C reaches the command alone. An
    interrupt or termination of this process is passed on, and what is left of the group is ended.

    Raises:
        FraudsimError: there is no such program.
        KeyboardInterrupt, Terminated: this process was told to end; the command is gone by then.
    """
    if shutil.which(argv[0], path=env.get("PATH")) is None:
        raise FraudsimError(f"the program {argv[0]} is not there or cannot be run")
    child = guard.popen(argv, env, stdin=None, output=None)
    try:
        with _terminal_of(child.pid):
            code = _exit_code(child)
    except (KeyboardInterrupt, Terminated) as told:
        _pass_on(child, signal.SIGINT if isinstance(told, KeyboardInterrupt) else signal.SIGTERM)
        raise
    finally:
        end_groups([child.pid], _GRACE_S)
        child.wait()
        guard.forget(child.pid)
    return 128 - code if code < 0 else code


def _exit_code(child: "subprocess.Popen[bytes]") -> int:
    # In steps: a signal that the kernel hands to another thread wakes no endless wait of this one.
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return child.wait(1.0)


def _pass_on(child: "subprocess.Popen[bytes]", number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(_GRACE_S)


@contextmanager
def _terminal_of(pid: int) -> Iterator[None]:
    """Give the terminal, if this process has it, to the group of `pid`, and take it back."""
    try:
        owned = sys.stdin.isatty() and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        owned = False
    if not owned:
        yield
        return
    terminal = sys.stdin.fileno()
    # Taking the terminal back from the background would stop this process otherwise.
    earlier = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        os.tcsetpgrp(terminal, pid)
        yield
    finally:
        with contextlib.suppress(OSError):
            os.tcsetpgrp(terminal, os.getpgrp())
        signal.signal(signal.SIGTTOU, earlier)
