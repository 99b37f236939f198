"""Runs the parts of a stack as processes: starts, watches, restarts and ends them, and leaves none behind."""

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fraudsim.errors import FraudsimError
from runner.disk import writing_to
from runner.supervise.child_exit import wait_for_exit
from runner.supervise.guard import Guard
from runner.supervise.log_tail import last_lines
from runner.supervise.reaper import end_groups, signal_group

Event = Literal["started", "died", "restarted", "done", "failed", "stopped"]
State = Literal["running", "waiting", "done", "failed", "stopped"]

_LEFTOVER_GRACE_S = 1.0


@dataclass(frozen=True)
class Part:
    """One process of a stack.

    `restart` starts it again whenever it ends; with `finishes` an exit code of 0 is its end.
    `nice` is added to its priority. `pass_fds` are file descriptors that it inherits.
    """

    name: str
    argv: list[str]
    env: dict[str, str]
    restart: bool = True
    finishes: bool = False
    stop_signal: int = signal.SIGTERM
    stop_timeout_s: float = 10.0
    nice: int = 0
    pass_fds: tuple[int, ...] = ()


@dataclass(frozen=True)
class Backoff:
    """How soon a part that died is started again, in seconds: `first_s`, then twice that, up to `longest_s`.

    A part that has run for `healthy_s` starts over; one that dies `attempts` times in a row without is given
    up.
    """

    first_s: float = 0.1
    longest_s: float = 5.0
    healthy_s: float = 30.0
    attempts: int = 5

    def delay_s(self, deaths: int) -> float:
        """Seconds to wait after the given number (from 1) of deaths in a row."""
        return min(self.longest_s, self.first_s * 2.0 ** (deaths - 1))


@dataclass(eq=False)
class _Child:
    part: Part
    process: "subprocess.Popen[bytes]"
    started_at: float
    log_offset: int
    state: State = "running"
    deaths: int = 0
    returncode: int | None = None
    reason: str = ""
    stopping: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    # Held while a signal is sent and while the dead process is collected: a signal never meets a reused pid.
    lock: threading.Lock = field(default_factory=threading.Lock)


class Supervisor:
    """Starts parts as processes, each in its own session, with output appended to `<log_dir>/<name>.log`.

    Thread-safe. Whatever ends this process, kill -9 included, ends its parts too (`runner.supervise.reaper`).
    `on_event`, if set, is called with a part's name and what happened to it, from the thread that watches it.
    """

    def __init__(
        self,
        log_dir: Path,
        *,
        backoff: Backoff | None = None,
        on_event: Callable[[str, Event], None] | None = None,
    ) -> None:
        """Raises FraudsimError if `log_dir` cannot be made."""
        with writing_to(log_dir):
            log_dir.mkdir(parents=True, exist_ok=True)
        self.log_dir = log_dir.absolute()
        self.on_event = on_event
        self._backoff = backoff or Backoff()
        self._lock = threading.Lock()
        self._children: dict[str, _Child] = {}
        self._restarts: dict[str, int] = {}
        self._closed = False
        self.guard = Guard()

    def __enter__(self) -> "Supervisor":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # What is

    @property
    def restarts(self) -> dict[str, int]:
        """How often each part was started again after it died."""
        with self._lock:
            return dict(self._restarts)

    @property
    def failed(self) -> dict[str, str]:
        """Parts given up, each with its exit code and last log lines."""
        with self._lock:
            return {name: child.reason for name, child in self._children.items() if child.state == "failed"}

    def pid(self, name: str) -> int | None:
        """Process id of a part; None while it does not run."""
        child = self._child(name)
        return child.process.pid if child is not None and child.state == "running" else None

    def log(self, name: str) -> Path:
        """The part's log file."""
        return self.log_dir / f"{name}.log"

    def last_output(self, name: str, lines: int = 8) -> list[str]:
        """The last lines that the part has written since `start` was called for it."""
        child = self._child(name)
        return last_lines(self.log(name), lines, child.log_offset if child is not None else 0)

    # What to do

    def start(self, part: Part) -> int:
        """Start a part and watch over it; returns its process id.

        Raises:
            FraudsimError: its program is not there, or its log cannot be written.
            ValueError: a part of this name runs already.
        """
        if shutil.which(part.argv[0], path=part.env.get("PATH")) is None:
            raise FraudsimError(f"{part.name}: the program {part.argv[0]} is not there or cannot be run")
        with self._lock:
            if self._closed:
                raise ValueError("the supervisor is closed")
            earlier = self._children.pop(part.name, None)
            if earlier is not None and not earlier.over.is_set():
                self._children[part.name] = earlier
                raise ValueError(f"{part.name} runs already")
            log_offset = self._log_size(part.name)
            child = _Child(part, self._spawn(part), time.monotonic(), log_offset)
            self._children[part.name] = child
            self._restarts.setdefault(part.name, 0)
        pid = child.process.pid
        self._tell(part.name, "started")
        threading.Thread(target=self._watch, args=(child,), name=f"watch-{part.name}", daemon=True).start()
        return pid

    def wait(self, name: str, timeout_s: float | None = None) -> int:
        """Wait until a part is over (done, failed or stopped, not merely between two restarts).

        Returns its last exit code, negative for a signal.

        Raises:
            KeyError: there is no such part.
            TimeoutError: it is not over within `timeout_s` seconds.
        """
        child = self._child(name)
        if child is None:
            raise KeyError(name)
        if not child.over.wait(timeout_s):
            raise TimeoutError(f"{name} still runs after {timeout_s} s")
        assert child.returncode is not None
        return child.returncode

    def stop(self, name: str) -> None:
        """End a part; returns when it is gone.

        Its process group gets the stop signal, and SIGKILL after the part's timeout.
        """
        child = self._child(name)
        if child is None:
            return
        child.stopping.set()
        self._signal(child, child.part.stop_signal)
        if not child.over.wait(child.part.stop_timeout_s):
            self._signal(child, signal.SIGKILL)
            child.over.wait()

    def stop_all(self) -> None:
        """End every part, the last started first, each when the one before is gone."""
        with self._lock:
            names = list(self._children)
        for name in reversed(names):
            self.stop(name)

    def close(self) -> None:
        """End every part and the reaper; nothing can be started afterwards."""
        with self._lock:
            self._closed = True
        try:
            self.stop_all()
        finally:
            self.guard.close()

    # How

    def _child(self, name: str) -> _Child | None:
        with self._lock:
            return self._children.get(name)

    def _log_size(self, name: str) -> int:
        try:
            return self.log(name).stat().st_size
        except OSError:
            return 0

    def _tell(self, name: str, event: Event) -> None:
        if self.on_event is not None:
            self.on_event(name, event)

    def _spawn(self, part: Part) -> "subprocess.Popen[bytes]":
        with writing_to(self.log_dir), self.log(part.name).open("ab") as log:
            process = self.guard.popen(
                part.argv, part.env, stdin=subprocess.DEVNULL, output=log, pass_fds=part.pass_fds
            )
        if part.nice:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.setpriority(os.PRIO_PGRP, process.pid, part.nice)
        return process

    def _signal(self, child: _Child, number: int) -> None:
        with child.lock:
            if child.state == "running":
                signal_group(child.process.pid, number)

    def _collect(self, child: _Child) -> None:
        """Take in a process that has ended, and end what it left in its group."""
        pid = child.process.pid
        wait_for_exit(pid)
        with child.lock:
            child.state = "waiting"
            child.returncode = child.process.wait()
        grace_s = child.part.stop_timeout_s if child.stopping.is_set() else _LEFTOVER_GRACE_S
        end_groups([pid], grace_s)
        self.guard.forget(pid)

    def _watch(self, child: _Child) -> None:
        try:
            event = self._live(child)
            with self._lock:
                child.state = event
            self._tell(child.part.name, event)
        finally:
            child.over.set()

    def _live(self, child: _Child) -> Literal["done", "failed", "stopped"]:
        """A part's life, restarts included, to its end."""
        while True:
            self._collect(child)
            end = self._verdict(child)
            if end is not None:
                return end
            self._tell(child.part.name, "died")
            if child.stopping.wait(self._backoff.delay_s(child.deaths)):
                return "stopped"
            if not self._start_again(child):
                return "failed"
            self._tell(child.part.name, "restarted")

    def _verdict(self, child: _Child) -> Literal["done", "failed", "stopped"] | None:
        """What becomes of a part whose process has ended; None: it is started again."""
        if child.stopping.is_set():
            return "stopped"
        if child.returncode == 0 and (child.part.finishes or not child.part.restart):
            return "done"
        if not child.part.restart:
            child.reason = self._why(child, "")
            return "failed"
        lived_s = time.monotonic() - child.started_at
        child.deaths = 1 if lived_s >= self._backoff.healthy_s else child.deaths + 1
        if child.deaths >= self._backoff.attempts:
            child.reason = self._why(child, f" for the {child.deaths}th time in a row")
            return "failed"
        return None

    def _start_again(self, child: _Child) -> bool:
        try:
            process = self._spawn(child.part)
        except (FraudsimError, OSError) as error:
            child.reason = f"{child.part.name} cannot be started again: {error}"
            return False
        with child.lock:
            child.process = process
            child.started_at = time.monotonic()
            child.state = "running"
        with self._lock:
            self._restarts[child.part.name] += 1
        # `stop` may have come between the last look and the new process.
        if child.stopping.is_set():
            self._signal(child, child.part.stop_signal)
        return True

    def _why(self, child: _Child, times: str) -> str:
        code = child.returncode or 0
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        lines = last_lines(self.log(child.part.name), 8, child.log_offset)
        return "\n".join([f"{child.part.name} {how}{times}; see {self.log(child.part.name)}", *lines])
