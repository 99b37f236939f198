"""Locust as child processes: alone, or a master with workers; what they wrote, read back."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

import load_tests
from load_tests.load.clocks.records import DTYPE, read_records
from load_tests.load.generators.outcome import WorkerOutcome, read_outcomes, records_path, scheduling_of
from load_tests.load.generators.plan import PLAN_VARIABLE, LoadPlan
from load_tests.load.run.sent_load import SentLoad
from load_tests.load.verdict.measurement import GeneratorHealth
from runner.stack.ports import free_port

START_S: Final = 60.0
"""Longest time from the start of the processes to the first intended send."""
END_S: Final = 15.0
STOP_S: Final = 10.0
POLL_S: Final = 0.05
LOCUSTFILE: Final = Path(load_tests.__path__[0]) / "locustfile.py"


def send_by_locust(
    plan: LoadPlan, workers: int, stop: threading.Event, on_poll: Callable[[], None] = lambda: None
) -> SentLoad:
    """Send a plan to its end, or until `stop` is set.

    Returns:
        What was sent; where Locust did not start or a worker was lost, its health says so.
    """
    folder = Path(plan.folder)
    for old in (*folder.glob("records-*.bin"), *folder.glob("outcome-*.json")):
        old.unlink()
    plan_path = folder / "plan.json"
    plan.write(plan_path)
    children = _start(plan_path, plan, workers)
    try:
        deadline_s = time.monotonic() + START_S + plan.seconds + plan.timeout_s + END_S
        while children[0].poll() is None and not stop.is_set() and time.monotonic() < deadline_s:
            on_poll()
            stop.wait(POLL_S)
    finally:
        _stop(children)
    return _collect(plan, workers, stop.is_set())


def _start(plan_path: Path, plan: LoadPlan, workers: int) -> list[subprocess.Popen[bytes]]:
    env = {**os.environ, PLAN_VARIABLE: str(plan_path)}
    # The checkout or installation that runs here, whatever directory Locust starts in.
    env["PYTHONPATH"] = os.pathsep.join([str(LOCUSTFILE.parents[1]), *filter(None, [env.get("PYTHONPATH")])])
    senders = str(plan.connections * workers)
    headless = ["--headless", "-u", senders, "-r", senders, "--only-summary", "--host", plan.url]
    if workers == 1:
        return [_locust(headless, env, plan_path.with_name("locust.log"))]
    port = str(free_port())
    master = ["--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", port]
    children = [
        _locust(
            [*headless, *master, "--expect-workers", str(workers)], env, plan_path.with_name("locust.log")
        )
    ]
    for number in range(workers):
        words = ["--worker", "--master-host", "127.0.0.1", "--master-port", port]
        children.append(_locust(words, env, plan_path.with_name(f"locust-{number}.log")))
    return children


def _locust(words: list[str], env: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), *words],
            env=env, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip


def _stop(children: list[subprocess.Popen[bytes]]) -> None:
    """End what still runs; workers first, so that each writes what it has."""
    deadline_s = time.monotonic() + STOP_S
    for child in (*children[1:], children[0]):
        if child.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(signal.SIGTERM)
    for child in children:
        try:
            child.wait(max(0.1, deadline_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _collect(plan: LoadPlan, workers: int, stopped: bool) -> SentLoad:
    folder = Path(plan.folder)
    outcomes = read_outcomes(folder)
    parts = [read_records(records_path(folder, outcome.index)) for outcome in outcomes]
    records = np.concatenate(parts) if parts else np.zeros(0, dtype=DTYPE)
    records = records[np.argsort(records["number"], kind="stable")]
    start_us = min((outcome.start_us for outcome in outcomes if outcome.start_us), default=0)
    offsets_us = plan.schedule()
    partial = stopped and not all(outcome.finished for outcome in outcomes)
    scheduled, seconds = len(offsets_us), plan.seconds
    if partial:
        last_us = int(records["intended_us"].max()) - start_us if len(records) else 0
        scheduled, seconds = int((offsets_us <= last_us).sum()), last_us / 1e6
    unfinished = sum(not outcome.finished for outcome in outcomes)
    lost = 0 if stopped else workers - len(outcomes) + unfinished
    errors = _errors(outcomes) if outcomes or stopped else {_last_line(folder / "locust.log"): 0}
    return SentLoad(scheduled, records, _health(outcomes, workers, lost), errors, partial, start_us, seconds)


def _health(outcomes: list[WorkerOutcome], workers: int, lost: int) -> GeneratorHealth:
    return GeneratorHealth(
        probe_wakes=sum(outcome.hub_wakes for outcome in outcomes),
        probe_late=sum(outcome.hub_late for outcome in outcomes),
        probe_max_ms=max((outcome.hub_max_ms for outcome in outcomes), default=0.0),
        cpu_s=sum(outcome.cpu_s for outcome in outcomes),
        lost_workers=lost,
        workers=workers,
        scheduling=scheduling_of(outcomes),
    )


def _errors(outcomes: list[WorkerOutcome]) -> dict[str, int]:
    errors: Counter[str] = Counter()
    for outcome in outcomes:
        errors.update(outcome.errors)
    return dict(errors)


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    named = [line for line in lines if "error" in line.lower()]
    return (named or lines or ["no word in its log"])[-1].strip()[:300] + f" ({log})"
