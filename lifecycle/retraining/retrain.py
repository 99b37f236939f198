"""One retraining, from the first step that is left; or one step of it, for a scheduler."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from lifecycle.retraining.job import (
    RetrainingJob,
    RetrainingPlan,
    RetrainingResult,
    job_by_name,
    one_at_a_time,
    open_job,
)
from lifecycle.retraining.steps import NAMES, STEPS, check_champion
from lifecycle.retraining.window import newest_event_ms
from model.registry.versions import read_aliases

Say = Callable[[str], None]
BY_HAND = "by hand"
FAILURE = "retraining, step "
"""How the message of a retraining begins that is over."""


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
    options: RetrainingOptions,
    settings: Settings,
    say: Say,
    trigger: str = BY_HAND,
    now_ms: int | None = None,
) -> RetrainingResult | None:
    """Run what is left of the unfinished retraining, or a new one; None if steps are left over.

    `now_ms` is the event time by which payments and labels count; None: just after the newest payment.

    A retraining that fails, since labels are too few or its data cannot be used, is over: nothing is
    registered, the champion serves on, and the next attempt begins anew.

    Raises:
        FraudsimError: another one is at work, or it failed.
    """
    with one_at_a_time(options.work):
        job = open_job(options.work, plan_of(options, trigger, now_ms))
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


def plan_of(options: RetrainingOptions, trigger: str, now_ms: int | None = None) -> RetrainingPlan:
    """What would be retrained now. Raises FraudsimError as reading registry and run does."""
    champion = read_aliases(options.registry).champion
    check_champion(options.registry, champion)
    return RetrainingPlan(
        run=str(options.run.resolve()),
        registry=str(options.registry.resolve()),
        now_ms=newest_event_ms(options.run) if now_ms is None else now_ms,
        days=options.days,
        trigger=trigger,
        promote=options.promote,
        parent=champion,
    )


def open_retraining(options: RetrainingOptions, trigger: str) -> str:
    """The name of the unfinished retraining, or of a new one; no step is run.

    Raises:
        FraudsimError: another process is at work there, or the run or registry cannot be read.
    """
    with one_at_a_time(options.work):
        return open_job(options.work, plan_of(options, trigger)).folder.name


def run_step(work: Path, name: str, step: str, settings: Settings, say: Say) -> RetrainingResult | None:
    """Run one step of a retraining, unless its output is there; None if steps are left over.

    A retraining that is over stays as it is, whatever step is asked for.

    Raises:
        FraudsimError: there is no such retraining or step, an earlier step has not been run, another process
            is at work there, or the step failed.
    """
    job = job_by_name(work, name)
    check_step(step)
    with one_at_a_time(work):
        if job.result is None:
            _check_earlier(job, step)
            return run_steps(job, settings, say, step)
        return job.result


def check_step(step: str) -> None:
    """Raise FraudsimError if there is no such step."""
    if step not in NAMES:
        raise FraudsimError(f"step {step!r} is no step; there are {', '.join(NAMES)}")


def _check_earlier(job: RetrainingJob, step: str) -> None:
    for earlier in STEPS[: NAMES.index(step)]:
        if not (job.folder / earlier.output).exists():
            raise FraudsimError(
                f"retraining {job.folder.name}: step {step} comes after {earlier.name}, which has not been "
                f"run; run `retraining step {job.folder.name} {earlier.name}` first"
            )
