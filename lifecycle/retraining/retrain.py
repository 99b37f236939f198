"""`fraudsim model retrain`: one retraining, from the first step that is left; or one every so often."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from fraudsim import metrics
from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from lifecycle.retraining.gate import GateFigures
from lifecycle.retraining.job import (
    RetrainingJob,
    RetrainingPlan,
    RetrainingResult,
    jobs_in,
    one_at_a_time,
    open_job,
    read_json,
)
from lifecycle.retraining.steps import GATE, STEPS, check_champion
from lifecycle.retraining.triggers import ByPeriod, Evidence
from lifecycle.retraining.window import newest_event_ms
from model.artefact.files import read_manifest
from model.registry.versions import folder_of, read_aliases

Say = Callable[[str], None]
BY_HAND = "by hand"
FAILURE = "retraining, step "
"""How the message of a retraining begins that is over."""
STATUSES = ("shadow", "promoted", "rejected", "failed")
POLL_S = 2.0
LONGEST_S = 3600.0
"""Of one retraining; a longer one counts as hung."""


class RetrainingOptions(NamedTuple):
    """What `retrain` is asked for."""

    run: Path
    registry: Path
    work: Path
    days: float
    promote: bool = False
    until: str | None = None
    """The last step to run; None for all."""


def retrain(
    options: RetrainingOptions, settings: Settings, say: Say, trigger: str = BY_HAND
) -> RetrainingResult | None:
    """Run what is left of the unfinished retraining, or a new one; None if steps are left over.

    A retraining that fails, since labels are too few or its data cannot be used, is over: nothing is
    registered, the champion serves on, and the next attempt begins anew.

    Raises:
        FraudsimError: another one is at work, or it failed.
    """
    with one_at_a_time(options.work):
        job = open_job(options.work, _plan(options, trigger))
        return run_steps(job, settings, say, options.until)


def run_steps(
    job: RetrainingJob, settings: Settings, say: Say, until: str | None = None
) -> RetrainingResult | None:
    """Run the steps whose output is not there yet."""
    for step in STEPS:
        if job.result is not None:
            break
        if not (job.folder / step.output).exists():
            say(f"step {step.name}")
            try:
                step.run(job, settings)
            except FraudsimError as error:
                job.finish(RetrainingResult(status="failed", reason=f"{step.name}: {error}"))
                raise FraudsimError(f"{FAILURE}{step.name}: {error}") from None
            except OSError as error:
                raise FraudsimError(
                    f"retraining {error.filename or job.folder}: {error.strerror or error}; make room, and "
                    "the same command goes on"
                ) from None
        if step.name == until:
            break
    return job.result


def _plan(options: RetrainingOptions, trigger: str) -> RetrainingPlan:
    champion = read_aliases(options.registry).champion
    check_champion(options.registry, champion)
    return RetrainingPlan(
        run=str(options.run.resolve()),
        registry=str(options.registry.resolve()),
        now_ms=newest_event_ms(options.run),
        days=options.days,
        trigger=trigger,
        promote=options.promote,
        parent=champion,
    )


def retrain_every(
    options: RetrainingOptions, every_ms: int, settings: Settings, stop: threading.Event, say: Say
) -> int:
    """Retrain whenever a period of event time is over, until `stop`; returns how many were finished.

    What cannot be retrained now is said and tried again a period later: the champion serves on. An
    unfinished retraining of an earlier process is finished first.
    """
    finished, period = 0, ByPeriod(every_ms)
    tried_ms: int | None = None
    unfinished = any(job.result is None for job in jobs_in(options.work))
    for status in STATUSES:
        metrics.RETRAININGS.labels(status)
    while not stop.is_set():
        metrics.HEARTBEAT.set_to_current_time()
        try:
            tried_ms = _last_ms(options) if tried_ms is None else tried_ms
            now_ms = newest_event_ms(options.run)
            reason = period.reason(Evidence(now_ms, tried_ms))
            if reason is not None or unfinished:
                unfinished, tried_ms = False, now_ms
                with _beating():
                    result = retrain(options, settings, say, f"period: {reason}")
                if result is not None:
                    finished += 1
                    _count(options.work, result)
                    say(f"{result.status} {result.version or ''} {result.reason}".rstrip())
        except FraudsimError as error:
            if str(error).startswith(FAILURE):
                metrics.RETRAININGS.labels("failed").inc()
            say(str(error))
        stop.wait(POLL_S)
    return finished


def _count(work: Path, result: RetrainingResult) -> None:
    """Export how a retraining ended."""
    job = jobs_in(work)[-1]
    metrics.RETRAININGS.labels(result.status).inc()
    metrics.RETRAINING_EVENT_TIME.set(job.plan.now_ms / 1000)
    if (job.folder / GATE).exists():
        metrics.RETRAINING_GATE.set(read_json(job.folder / GATE, GateFigures).difference)


@contextmanager
def _beating() -> Iterator[None]:
    """Give signs of life while a retraining is at work, for as long as one may take."""
    done = threading.Event()

    def beat() -> None:
        for _ in range(round(LONGEST_S / POLL_S)):
            metrics.HEARTBEAT.set_to_current_time()
            if done.wait(POLL_S):
                return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _last_ms(options: RetrainingOptions) -> int:
    """Event time of the last retraining, or the training time of the champion."""
    jobs = jobs_in(options.work)
    if jobs:
        return jobs[-1].plan.now_ms
    champion = read_aliases(options.registry).champion
    return read_manifest(folder_of(options.registry, champion)).test_from_ms
