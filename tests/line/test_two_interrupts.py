"""Two signals on a terminal, of any kind, in any phase and with any gap, leave no process."""

import fcntl
import os
import pty
import random
import select
import signal
import subprocess
import sys
import termios
import threading
import time
from itertools import product

import psutil
import pytest

from fraudsim.polling import poll_until

pytestmark = pytest.mark.stack
PHASES = {
    "preparation": ("logs/redis.log", "logs/kafka.log", "models"),
    "start": ("logs/worker.log", "logs/labels.log"),
    "traffic": ("producer.json",),
}
SECONDS = {"preparation": 1, "start": 1, "traffic": 8}
"""Of traffic, of which the signals see the first two at most; the null pipeline before it takes as long."""

SIGNALS = ("ctrl-c", "hang-up", "SIGINT", "SIGTERM", "SIGHUP")
"""Ctrl-C on the terminal, its closing, and signals to the command alone."""
MIXTURES = [
    (first, second) for first, second in product(SIGNALS, SIGNALS)
    if first != second and (first != "hang-up" or second.startswith("SIG"))
]  # fmt: skip


def left_of(session, run):
    """Processes of the terminal's session, or with the run's folder in their variables or as their own.

    Redis overwrites its command line, so that the command line says nothing.
    """
    found = []
    for process in psutil.process_iter(["pid", "name", "status"]):
        try:
            is_of_run = (
                os.getsid(process.pid) == session
                or process.cwd().startswith(str(run))
                or str(run) in process.environ().get("FRAUDSIM_RUNS_DIR", "")
            )
        except (psutil.Error, OSError):
            continue
        if is_of_run and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append((process.pid, process.info["name"]))
    return found


class Terminal:
    """A command on a terminal of its own, whose foreground it has."""

    def __init__(self, argv, env):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            argv, stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
        )  # fmt: skip
        os.close(slave)
        self.output = b""
        self._closing = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        # Never within `read` for long: the terminal closes when nobody reads it any more.
        try:
            while not self._closing.is_set():
                if select.select([self.master], [], [], 0.05)[0]:
                    self.output += os.read(self.master, 65536)
        except OSError:
            return

    def send(self, name):
        """One of `SIGNALS`."""
        if name == "ctrl-c":
            os.write(self.master, b"\x03")
        elif name == "hang-up":
            self.close()  # the kernel sends SIGHUP to the command and to whatever has the foreground
        else:
            self.process.send_signal(signal.Signals[name])

    def close(self):
        if not self._closing.is_set():
            self._closing.set()
            self._reader.join()
            os.close(self.master)


def signal_twice(run, prepared, phase, awaited_file, first, second, gap_s):
    """What is left of a run, once its command has ended, and what it has printed."""
    options = ["--seconds", str(SECONDS[phase]), "--rate", "50", "--cards", "800", "--reuse", str(prepared)]
    env = {**os.environ, "FRAUDSIM_RUNS_DIR": str(run.parent / "runs"), "FRAUDSIM_KAFKA_HEAP_MB": "256"}
    terminal = Terminal([sys.executable, "-m", "fraudsim", "demo", *options, "--out", str(run)], env)
    session = terminal.process.pid
    try:
        poll_until(lambda: (run / awaited_file).exists() or terminal.process.poll() is not None, 200)
        assert (run / awaited_file).exists(), terminal.output.decode()
        terminal.send(first)
        time.sleep(gap_s)
        terminal.send(second)
        terminal.process.wait(60)
        poll_until(lambda: not left_of(session, run.parent), 15)
        return left_of(session, run.parent), terminal.output.decode()
    finally:
        terminal.process.kill()
        terminal.process.wait()
        terminal.close()


@pytest.mark.parametrize("phase", PHASES)
def test_no_process_is_left(phase, tmp_path, prepared):
    awaited_file, gap_s = random.choice(PHASES[phase]), random.uniform(0.0, 0.8)
    left, output = signal_twice(tmp_path / "run", prepared, phase, awaited_file, "ctrl-c", "ctrl-c", gap_s)
    assert left == [], (awaited_file, gap_s)
    assert "Traceback" not in output, output


@pytest.mark.long
@pytest.mark.parametrize(
    "pairs", [[("ctrl-c", "ctrl-c")], MIXTURES], ids=["interrupts", "mixtures of signals"]
)
def test_no_process_is_left_in_forty_tries(pairs, tmp_path, prepared):
    for attempt in range(40):
        phase = (*PHASES,)[attempt % len(PHASES)]
        awaited_file, gap_s = random.choice(PHASES[phase]), random.uniform(0.0, 1.5)
        first, second = random.choice(pairs)
        left, output = signal_twice(
            tmp_path / str(attempt) / "run", prepared, phase, awaited_file, first, second, gap_s
        )
        assert left == [], (attempt, awaited_file, first, second, gap_s)
        assert "Traceback" not in output, (attempt, awaited_file, first, second, gap_s, output)
