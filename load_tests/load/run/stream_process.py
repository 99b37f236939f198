"""A load through Kafka: the producer's sender in a process, decisions read back here."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from fraudsim.addresses import RunningLine, running_line
from fraudsim.errors import FraudsimError
from fraudsim.log.brokers import check_reachable
from fraudsim.log.consumer import existing_partitions
from fraudsim.log.topics import DECISIONS, TRANSACTIONS
from fraudsim.process.garbage_collection import freeze_gc
from fraudsim.settings import Settings, load_settings, variable
from load_tests.load.clocks.records import DTYPE, STAMPS, Records, read_records
from load_tests.load.generators.outcome import outcome_path, read_outcomes, records_path, scheduling_of
from load_tests.load.generators.plan import LoadPlan
from load_tests.load.run.sent_load import SentLoad
from load_tests.load.streaming.arrival_reader import ArrivalReader
from load_tests.load.verdict.measurement import GeneratorHealth

START_S: Final = 60.0
STOP_S: Final = 25.0
POLL_S: Final = 0.05


def find_line(run: Path | None) -> tuple[Settings, RunningLine | None]:
    """The line to load: that of a run folder, else the one that runs from `runs/latest`, else the settings'.

    Raises:
        FraudsimError: no line runs in the folder, or no Kafka answers.
    """
    settings = load_settings()
    line = None
    if run is not None:
        line = running_line(run)
        if line is None:
            raise FraudsimError(f"--run {run}: no line runs there; start one with `fraudsim up`")
    elif "kafka_bootstrap" not in settings.model_fields_set:
        line = running_line(settings.runs_dir / "latest")
    if line is not None:
        settings = settings.model_copy(
            update={"kafka_bootstrap": line.kafka_bootstrap, "redis_url": line.redis_url}
        )
    check_reachable(settings.kafka_bootstrap)
    partitions = existing_partitions(settings.kafka_bootstrap, [TRANSACTIONS, DECISIONS])
    return settings.model_copy(update={"partitions": len(partitions[DECISIONS])}), line


def send_stream(
    plan: LoadPlan,
    settings: Settings,
    stop: threading.Event,
    on_poll: Callable[[], None] = lambda: None,
) -> SentLoad:
    """Send a plan into a line's Kafka, or with a prefix of topics into those, and read what comes of it.

    Raises:
        FraudsimError: the sender cannot start.
    """
    folder = Path(plan.folder)
    for path in (records_path(folder, 0), outcome_path(folder, 0)):
        path.unlink(missing_ok=True)
    plan_path = folder / "plan.json"
    plan.write(plan_path)
    freeze_gc()
    with ArrivalReader(settings, f"load-{plan.run_id}-", plan.topic_prefix) as reader:
        deadline_s = time.monotonic() + START_S + plan.seconds + plan.timeout_s
        child = _start(plan_path, settings, folder / "sender.log")
        try:
            while child.poll() is None and not stop.is_set() and time.monotonic() < deadline_s:
                on_poll()
                stop.wait(POLL_S)
        finally:
            _end(child)
        if child.returncode == 2:
            raise FraudsimError(_last_line(folder / "sender.log").removeprefix("error: "))
        sent = read_records(records_path(folder, 0)) if records_path(folder, 0).exists() else _none()
        _await_decisions(reader, len(sent), plan.timeout_s, stop)
        reader.check()
        records = _with_decisions(sent, reader, is_bare=bool(plan.topic_prefix))
    return _sent_load(plan, folder, records, stop.is_set())


def _start(plan_path: Path, settings: Settings, log: Path) -> subprocess.Popen[bytes]:
    env = {**os.environ, variable("kafka_bootstrap"): settings.kafka_bootstrap}
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "load_tests.load.streaming.sender_process", str(plan_path)],
            env=env, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(STOP_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _await_decisions(reader: ArrivalReader, expected: int, timeout_s: float, stop: threading.Event) -> None:
    """Wait for the decisions of all that was sent, at most the timeout after the last one that came."""
    count, since_s = -1, time.monotonic()
    while len(reader.arrivals) < expected and time.monotonic() - since_s < timeout_s:
        if len(reader.arrivals) != count:
            count, since_s = len(reader.arrivals), time.monotonic()
        if stop.wait(POLL_S):
            time.sleep(min(2.0, timeout_s))  # what is under way still counts
            return


def _with_decisions(sent: Records, reader: ArrivalReader, *, is_bare: bool) -> Records:
    """The records with what came back; of a bare topic the broker's stamp of what came back."""
    records = sent.copy()
    for index, number in enumerate(sent["number"].tolist()):
        arrival = reader.arrivals.get(number)
        if arrival is None:
            continue
        records["completed_us"][index] = arrival.arrived_us
        records["status"][index] = 200
        records["good"][index] = 1
        for name, stamp_us in zip(STAMPS, arrival.stamps, strict=True):
            records[name][index] = stamp_us
        if is_bare:
            records["appended"][index] = arrival.appended_us
    return records


def _none() -> Records:
    return np.zeros(0, dtype=DTYPE)


def _sent_load(plan: LoadPlan, folder: Path, records: Records, stopped: bool) -> SentLoad:
    outcomes = read_outcomes(folder)
    finished = bool(outcomes) and outcomes[0].finished
    offsets_us = plan.schedule()
    partial = stopped and not finished
    scheduled, seconds = len(offsets_us), plan.seconds
    if partial:
        scheduled = len(records)
        seconds = (
            (int(records["intended_us"].max() - records["intended_us"].min()) / 1e6) if scheduled else 0.0
        )
    missing = int((records["good"] == 0).sum())
    return SentLoad(
        scheduled=scheduled,
        records=records,
        health=GeneratorHealth(
            cpu_s=sum(outcome.cpu_s for outcome in outcomes),
            lost_workers=int(not stopped and not finished),
            scheduling=scheduling_of(outcomes),
        ),
        errors={"no decision was read back": missing} if missing else {},
        partial=partial,
        start_us=int(records["intended_us"].min()) if len(records) else 0,
        seconds=seconds,
    )


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return (lines or [f"the sender ended without a word ({log})"])[-1]
