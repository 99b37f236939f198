"""A retraining by its steps, one process for each: for a scheduler that makes a task of each."""

from pathlib import Path

from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from lifecycle.retraining.job import RetrainingJob, RetrainingResult, jobs_in, one_at_a_time, open_job
from lifecycle.retraining.retrain import RetrainingOptions, Say, plan_of, run_steps
from lifecycle.retraining.steps import NAMES, STEPS


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


def job_by_name(work: Path, name: str) -> RetrainingJob:
    """A retraining. Raises FraudsimError if there is none of that name."""
    jobs = {job.folder.name: job for job in jobs_in(work)}
    if name not in jobs:
        there = f"there is {', '.join(jobs)}" if jobs else "there is none"
        raise FraudsimError(f"retraining {name}: not in {work}; {there}; begin one by `retraining open`")
    return jobs[name]


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
