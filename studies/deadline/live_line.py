"""The live half: a line of its own, under one deadline and one rate after another.

The line runs in a folder of its own whose `.env` has the deadline: a scorer that starts anew reads it.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from fraudsim.addresses import RunningLine, open_direct, running_line
from fraudsim.errors import FraudsimError
from fraudsim.polling import poll_until
from fraudsim.settings import variable
from load_tests.load.run.restarts import SCORER, restart_scorer
from studies.deadline.plan import LiveLoads, load_name, refused_name

START_S: Final = 600.0
STOP_S: Final = 60.0
LOAD_S: Final = 120.0
"""Longest time that a load may take beyond its own length."""
REFUSED: Final = 3
"""The code with which a load ends that its own check does not let stand."""
CARDS: Final = 300
HISTORY_DAYS: Final = 25
RATE: Final = 5.0
"""Of the line's own stream, beside the load."""


def degraded_shares(folder: Path, plan: LiveLoads, seed: int) -> dict[str, float]:
    """Percent of the decisions that were degraded, by deadline and rate (`load_name`); and whether the load
    refused itself, since the generator or the machine did not keep up (`refused_name`).

    Raises:
        FraudsimError: the line does not start, or a load cannot be sent.
    """
    shares = {}
    _write_deadline(folder, plan.deadlines_ms[0])
    with _line_in(folder, seed) as run:
        for number, deadline_ms in enumerate(plan.deadlines_ms):
            if number:
                _write_deadline(folder, deadline_ms)
                restart_scorer(run)
            # A scorer that has just started decides its first requests late: they are not counted.
            _degraded(folder, run, plan, min(plan.rates), seed)
            for rate in plan.rates:
                share, refused = _degraded(folder, run, plan, rate, seed)
                shares[load_name(deadline_ms, rate)] = share
                shares[refused_name(deadline_ms, rate)] = float(refused)
    return shares


def _write_deadline(folder: Path, deadline_ms: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".env").write_text(f"{variable('deadline_ms')}={deadline_ms}\n")


def _environment() -> Mapping[str, str]:
    """This process's, without a deadline of its own, which would hide the file's."""
    return {name: value for name, value in os.environ.items() if name != variable("deadline_ms")}


@contextmanager
def _line_in(folder: Path, seed: int) -> Iterator[Path]:
    """A running line for the length of the block; its run folder."""
    run, log = folder / "run", folder / "up.log"
    words = {
        "--out": "run", "--rate": RATE, "--cards": CARDS, "--history-days": HISTORY_DAYS, "--seed": seed,
    }  # fmt: skip
    argv = [sys.executable, "-m", "fraudsim", "up", *(str(word) for item in words.items() for word in item)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv, cwd=folder, env=_environment(), stdout=output, stderr=subprocess.STDOUT
        )
    try:
        if not poll_until(lambda: process.poll() is not None or _is_ready(run), START_S, every_s=0.5):
            raise FraudsimError(f"study deadline: the line was not ready in {START_S:g} s; see {log}")
        if process.poll() is not None:
            last = log.read_text(errors="replace").strip().splitlines()[-1:]
            raise FraudsimError(f"study deadline: the line ended with {process.returncode}: {' '.join(last)}")
        yield run
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _is_ready(run: Path) -> bool:
    line = running_line(run)
    if line is None:
        return False
    try:
        with open_direct(f"{line.http_url}/readyz", timeout_s=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _degraded(folder: Path, run: Path, plan: LiveLoads, rate: int, seed: int) -> tuple[float, bool]:
    """Percent of the decisions over HTTP that were degraded while a load was sent; whether it was refused."""
    line = running_line(run)
    if line is None:
        raise FraudsimError(f"study deadline: the line in {run} has ended; see {folder}/up.log")
    before = decisions(_metrics(line))
    argv = [
        sys.executable, "-m", "fraudsim", "load", "run", "--url", line.http_url, "--rate", str(rate),
        "--seconds", str(plan.seconds), "--seed", str(seed), "--out", str(folder / "load"),
    ]  # fmt: skip
    done = subprocess.run(
        argv, cwd=folder, env=_environment(), capture_output=True, text=True, check=False,
        timeout=plan.seconds + LOAD_S,
    )  # fmt: skip
    if done.returncode not in (0, REFUSED):
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise FraudsimError(f"study deadline: the load of {rate}/s ended with {done.returncode}: {last}")
    after = decisions(_metrics(line))
    count = after[0] - before[0]
    if not count:
        raise FraudsimError(f"study deadline: no decision was made under a load of {rate}/s")
    return 100 * (after[1] - before[1]) / count, done.returncode == REFUSED


def _metrics(line: RunningLine) -> str:
    port = line.parts[SCORER].metrics_port
    with open_direct(f"http://127.0.0.1:{port}/metrics", timeout_s=10) as answer:
        text: str = answer.read().decode()
    return text


def decisions(metrics: str) -> tuple[float, float]:
    """All decisions, and those degraded, from a scorer's metrics."""
    count, degraded = 0.0, 0.0
    for line in metrics.splitlines():
        name, _, value = line.rpartition(" ")
        if name.startswith("fraudsim_decisions_total{"):
            count += float(value)
        elif name.startswith("fraudsim_decision_flags_total{") and 'flag="degraded"' in name:
            degraded += float(value)
    return count, degraded
