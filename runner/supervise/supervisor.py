"""The supervisor: starts, watches, restarts and ends processes, and leaves none behind."""

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
from fraudsim.process.disk import explain_disk_errors
from runner.supervise.child_exit import wait_for_exit
from runner.supervise.guard import Guard, GuardClosedError
from runner.supervise.last_log_lines import last_lines
from runner.supervise.reaper import end_groups, signal_group

Event = Literal["started", "died", "restarted", "done", "failed", "stopped"]
State = Literal["running", "waiting", "done", "failed", "stopped"]

_LEFTOVER_GRACE_S = 1.0


@dataclass(frozen=True)
class Part:
    """One process to supervise.

    `restart` starts it again whenever it exits; with `finishes`, exit code 0 is final. `nice` is added to its
    niceness. `pass_fds` are file descriptors that it inherits, `cwd` is its working directory.
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
    cwd: Path | None = None


@dataclass(frozen=True)
class Backoff:
    """Delays before a part that died is restarted: `first_s` seconds, doubled each time up to `longest_s`.

    A part that has run for `healthy_s` starts again at `first_s`. A part that dies `attempts` times in a row,
    each time before `healthy_s`, is given up.
    """

    first_s: float = 0.1
    longest_s: float = 5.0
    healthy_s: float = 30.0
    attempts: int = 5

    def delay_s(self, deaths: int) -> float:
        """Seconds to wait after `deaths` deaths in a row, counted from 1."""
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
    # Held while a signal is sent and while the dead process is reaped, so that no signal hits a reused pid.
    lock: threading.Lock = field(default_factory=threading.Lock)
    # Acquired for good by the one thread that watches it.
    watch: threading.Lock = field(default_factory=threading.Lock)


class Supervisor:
    """Starts parts as processes, each in its own process group, and appends output to `<log_dir>/<name>.log`.

    Thread-safe. If this process ends, even by kill -9, its parts end too (`runner.supervise.reaper`).
    `on_event`, if set, is called with a part's name and its event, from the thread that watches the part.
    """

    def __init__(
        self,
        log_dir: Path,
        *,
        backoff: Backoff | None = None,
        on_event: Callable[[str, Event], None] | None = None,
    ) -> None:
        """Raises FraudsimError if `log_dir` cannot be made."""
        with explain_disk_errors(log_dir):
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

    # State

    @property
    def restarts(self) -> dict[str, int]:
        """Number of restarts after a death, by part."""
        with self._lock:
            return dict(self._restarts)

    @property
    def failed(self) -> dict[str, str]:
        """Parts given up: name to exit code and last log lines."""
        with self._lock:
            return {name: child.reason for name, child in self._children.items() if child.state == "failed"}

    def pid(self, name: str) -> int | None:
        """Process id of a part; None while it is not running."""
        child = self._child(name)
        return child.process.pid if child is not None and child.state == "running" else None

    def log(self, name: str) -> Path:
        """The part's log file."""
        return self.log_dir / f"{name}.log"

    def last_output(self, name: str, lines: int = 8) -> list[str]:
        """The last non-empty lines that the part has written since `start` was called for it."""
        child = self._child(name)
        return last_lines(self.log(name), lines, child.log_offset if child is not None else 0)

    # Start and stop

    def start(self, part: Part) -> int:
        """Start a part and watch it; returns its process id.

        Raises:
            FraudsimError: its program does not exist, or its log cannot be written.
            ValueError: a part of this name is running.
        """
        if shutil.which(part.argv[0], path=part.env.get("PATH")) is None:
            raise FraudsimError(f"{part.name}: the program {part.argv[0]} is not there or cannot be run")
        with self._lock:
            if self._closed:
                raise ValueError("the supervisor is closed")
            previous = self._children.pop(part.name, None)
            if previous is not None and not previous.over.is_set():
                self._children[part.name] = previous
                raise ValueError(f"{part.name} runs already")
            log_offset = self._log_size(part.name)
            child = _Child(part, self._spawn(part), time.monotonic(), log_offset)
            self._children[part.name] = child
            self._restarts.setdefault(part.name, 0)
        pid = child.process.pid
        self._emit(part.name, "started")
        self._start_watching(child)
        return pid

    def wait(self, name: str, timeout_s: float | None = None) -> int:
        """Wait until a part is done, failed or stopped; a restart does not count.

        Returns its last exit code, negative for a signal.

        Raises:
            KeyError: there is no such part.
            TimeoutError: it still runs after `timeout_s` seconds.
        """
        child = self._child(name)
        if child is None:
            raise KeyError(name)
        if not child.over.wait(timeout_s):
            raise TimeoutError(f"{name} still runs after {timeout_s} s")
        assert child.returncode is not None
        return child.returncode

    def stop(self, name: str) -> None:
        """End a part and return when it has ended; no effect if there is no such part.

        Its process group gets the stop signal, and SIGKILL after the part's timeout.
        """
        child = self._child(name)
        if child is None:
            return
        child.stopping.set()
        self._start_watching(child)  # a signal may have interrupted `start` before it did
        self._signal(child, child.part.stop_signal)
        if not child.over.wait(child.part.stop_timeout_s):
            self._signal(child, signal.SIGKILL)
            child.over.wait()

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a part's process group; no effect while it does not run."""
        child = self._child(name)
        if child is not None:
            self._signal(child, number)

    def stop_all(self) -> None:
        """End every part, one after the other, in the reverse order of their start."""
        with self._lock:
            names = list(self._children)
        for name in reversed(names):
            self.stop(name)

    def close(self) -> None:
        """End every part and the reaper. Nothing starts again afterwards, even if this is cut short."""
        with self._lock:
            self._closed = True
        try:
            self.stop_all()
        finally:
            self.guard.close()

    # Internals

    def _child(self, name: str) -> _Child | None:
        with self._lock:
            return self._children.get(name)

    def _log_size(self, name: str) -> int:
        try:
            return self.log(name).stat().st_size
        except OSError:
            return 0

    def _emit(self, name: str, event: Event) -> None:
        if self.on_event is not None:
            self.on_event(name, event)

    def _spawn(self, part: Part) -> "subprocess.Popen[bytes]":
        with explain_disk_errors(self.log_dir), self.log(part.name).open("ab") as log:
            process = self.guard.popen(
                part.argv,
                part.env,
                stdin=subprocess.DEVNULL,
                output=log,
                pass_fds=part.pass_fds,
                cwd=part.cwd,
            )
        if part.nice:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.setpriority(os.PRIO_PGRP, process.pid, part.nice)
        return process

    def _signal(self, child: _Child, number: int) -> None:
        with child.lock:
            if child.state == "running":
                signal_group(child.process.pid, number)

    def _reap(self, child: _Child) -> None:
        """Wait for the process to exit, reap it, and end what it left in its group."""
        pid = child.process.pid
        wait_for_exit(pid)
        with child.lock:
            child.state = "waiting"
            child.returncode = child.process.wait()
        grace_s = child.part.stop_timeout_s if child.stopping.is_set() else _LEFTOVER_GRACE_S
        end_groups([pid], grace_s)
        self.guard.forget(pid)

    def _start_watching(self, child: _Child) -> None:
        """Watch a child in a thread of its own, unless one watches it already."""
        if not child.watch.locked():
            name = f"watch-{child.part.name}"
            threading.Thread(target=self._watch, args=(child,), name=name, daemon=True).start()

    def _watch(self, child: _Child) -> None:
        if not child.watch.acquire(blocking=False):
            return
        try:
            event = self._run_to_end(child)
            with self._lock:
                child.state = event
            self._emit(child.part.name, event)
        finally:
            child.over.set()

    def _run_to_end(self, child: _Child) -> Literal["done", "failed", "stopped"]:
        """Reap and restart the part until it ends; returns the final event."""
        while True:
            self._reap(child)
            end = self._end_event(child)
            if end is not None:
                return end
            self._emit(child.part.name, "died")
            if child.stopping.wait(self._backoff.delay_s(child.deaths)) or self._closed:
                return "stopped"
            if not self._restart(child):
                return "failed"
            self._emit(child.part.name, "restarted")

    def _end_event(self, child: _Child) -> Literal["done", "failed", "stopped"] | None:
        """The final event of a part whose process has exited; None if the part is to be restarted."""
        if child.stopping.is_set() or self._closed:
            return "stopped"
        if child.returncode == 0 and (child.part.finishes or not child.part.restart):
            return "done"
        if not child.part.restart:
            child.reason = self._failure_reason(child, "")
            return "failed"
        uptime_s = time.monotonic() - child.started_at
        child.deaths = 1 if uptime_s >= self._backoff.healthy_s else child.deaths + 1
        if child.deaths >= self._backoff.attempts:
            child.reason = self._failure_reason(child, f" for the {child.deaths}th time in a row")
            return "failed"
        return None

    def _restart(self, child: _Child) -> bool:
        try:
            process = self._spawn(child.part)
        except GuardClosedError:
            return False
        except (FraudsimError, OSError) as error:
            child.reason = f"{child.part.name} cannot be started again: {error}"
            return False
        with child.lock:
            child.process = process
            child.started_at = time.monotonic()
            child.state = "running"
        with self._lock:
            self._restarts[child.part.name] += 1
        # `stop` may have been called between the last check and the start of the new process.
        if child.stopping.is_set():
            self._signal(child, child.part.stop_signal)
        return True

    def _failure_reason(self, child: _Child, times: str) -> str:
        code = child.returncode or 0
        ending = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        lines = last_lines(self.log(child.part.name), 8, child.log_offset)
        return "\n".join([f"{child.part.name} {ending}{times}; see {self.log(child.part.name)}", *lines])
