"""Runs one command in the foreground, as a shell does, under a guard that ends it with this process."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType

from fraudsim.errors import FraudsimError
from runner.supervise.guard import Guard, kill_everything
from runner.supervise.reaper import end_groups

_GRACE_S = 10.0
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SHOW_CURSOR = b"\x1b[?25h"


class Termination(BaseException):
    """SIGTERM or SIGHUP arrived. Like KeyboardInterrupt, it unwinds the open context managers."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


class StopSignals:
    """What SIGINT, SIGTERM and SIGHUP do within `raise_on_signals`."""

    def __init__(self) -> None:
        self._received = 0
        self._stop: threading.Event | None = None

    @contextmanager
    def set_event(self) -> Iterator[threading.Event]:
        """Within the block the first signal sets an event instead of raising."""
        self._stop = threading.Event()
        try:
            yield self._stop
        finally:
            self._stop = None

    def handle(self, number: int, _: FrameType | None) -> None:
        """The first signal asks for an orderly end; the second kills all parts and ends this process."""
        self._received += 1
        if self._received > 1:
            if self._received == 2:
                kill_everything()
            if sys.stdout.isatty():
                os.write(sys.stdout.fileno(), SHOW_CURSOR)  # live figures hide it
            os._exit(128 + number)
        if self._stop is not None:
            self._stop.set()
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
        else:
            raise Termination(number)


@contextmanager
def raise_on_signals() -> Iterator[StopSignals]:
    """Within the block, SIGINT raises KeyboardInterrupt, and SIGTERM and SIGHUP raise `Termination`.

    The second signal, of whatever kind and at whatever time, kills all parts and ends this process at once.
    A signal that was ignored before, as by `nohup`, stays ignored. To be used in the main thread only.
    """
    signals = StopSignals()
    handled = [number for number in STOPPING if signal.getsignal(number) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, signals.handle) for number in handled}
    try:
        yield signals
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def run_foreground(argv: Sequence[str], env: Mapping[str, str], guard: Guard) -> int:
    """Run a command with this process's terminal and output; returns its exit code, 128 + n for signal n.

    The command leads its own process group, which gets the terminal, so that Ctrl-C reaches only the command.
    An interrupt or termination of this process is forwarded to the command. Processes that the command leaves
    in its group are ended.

    Raises:
        FraudsimError: the program does not exist or cannot be run.
        KeyboardInterrupt, Termination: this process was told to end; the command has ended by then.
    """
    if shutil.which(argv[0], path=env.get("PATH")) is None:
        raise FraudsimError(f"the program {argv[0]} is not there or cannot be run")
    child = guard.popen(argv, env, stdin=None, output=None)
    try:
        with _terminal_lent_to(child.pid):
            code = _exit_code(child)
    except (KeyboardInterrupt, Termination) as error:
        _forward(child, signal.SIGINT if isinstance(error, KeyboardInterrupt) else signal.SIGTERM)
        raise
    finally:
        end_groups([child.pid], _GRACE_S)
        child.wait()
        guard.forget(child.pid)
    return 128 - code if code < 0 else code


def _exit_code(child: "subprocess.Popen[bytes]") -> int:
    # In steps of 1 s: a signal that the kernel delivers to another thread does not wake an endless wait.
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return child.wait(1.0)


def _forward(child: "subprocess.Popen[bytes]", number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(_GRACE_S)


@contextmanager
def _terminal_lent_to(pid: int) -> Iterator[None]:
    """Give the terminal, if this process owns it, to the group of `pid` for the length of the block."""
    try:
        owned = sys.stdin.isatty() and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        owned = False
    if not owned:
        yield
        return
    terminal = sys.stdin.fileno()
    # Otherwise, taking the terminal back from the background would stop this process.
    previous = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        os.tcsetpgrp(terminal, pid)
        yield
    finally:
        with contextlib.suppress(OSError):
            os.tcsetpgrp(terminal, os.getpgrp())
        signal.signal(signal.SIGTTOU, previous)
