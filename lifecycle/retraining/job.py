"""A retraining on disk: its plan, the outputs of its steps, its result; one at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, TypeVar

import msgspec

from fraudsim.errors import FraudsimError
from fraudsim.whole_files import write_whole

PLAN_FILE: Final = "plan.json"
RESULT_FILE: Final = "result.json"
LOCK_FILE: Final = "lock"
T = TypeVar("T", bound=msgspec.Struct)


class RetrainingPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What is retrained; written before the first step, so that a resumed run is the same run."""

    run: str
    registry: str
    now_ms: int
    """Event time: payments and labels known before it count."""
    days: float
    trigger: str
    promote: bool
    """Whether a model that passes the gate becomes the champion at once, instead of a shadow."""
    parent: str
    """The champion at the time."""


class RetrainingResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a retraining ended."""

    status: Literal["shadow", "promoted", "rejected", "failed"]
    version: str | None = None
    reason: str = ""


class RetrainingJob:
    """One retraining's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def plan(self) -> RetrainingPlan:
        """Raises FraudsimError if it cannot be read."""
        return read_json(self.folder / PLAN_FILE, RetrainingPlan)

    @property
    def result(self) -> RetrainingResult | None:
        """None as long as steps are left."""
        path = self.folder / RESULT_FILE
        return read_json(path, RetrainingResult) if path.exists() else None

    def finish(self, result: RetrainingResult) -> None:
        """Note how it ended."""
        write_json(self.folder / RESULT_FILE, result)


def write_json(path: Path, content: msgspec.Struct) -> None:
    """Write or replace a file whole."""
    write_whole(path, msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n", durable=True)


def jobs_in(work: Path) -> list[RetrainingJob]:
    """Every retraining, in order of event time."""
    folders = [path.parent for path in work.glob(f"*/{PLAN_FILE}")]
    return [RetrainingJob(folder) for folder in sorted(folders, key=lambda folder: int(folder.name))]


def job_by_name(work: Path, name: str) -> RetrainingJob:
    """A retraining. Raises FraudsimError if there is none of that name."""
    jobs = {job.folder.name: job for job in jobs_in(work)}
    if name not in jobs:
        names = f"there is {', '.join(jobs)}" if jobs else "there is none"
        raise FraudsimError(f"retraining {name}: not in {work}; {names}; begin one by `retraining open`")
    return jobs[name]


def open_job(work: Path, plan: RetrainingPlan) -> RetrainingJob:
    """The unfinished retraining, or a new one by this plan.

    Raises:
        FraudsimError: the clock has gone back behind an earlier retraining.
    """
    jobs = jobs_in(work)
    for job in jobs:
        if job.result is None:
            return job
    if jobs and jobs[-1].plan.now_ms > plan.now_ms:
        raise FraudsimError(
            f"{work}: event time went back from {jobs[-1].plan.now_ms} to {plan.now_ms}: another run's log? "
            "name another folder by --work"
        )
    folder = work / str(plan.now_ms)
    folder.mkdir(exist_ok=True)
    (folder / RESULT_FILE).unlink(missing_ok=True)
    write_json(folder / PLAN_FILE, plan)
    return RetrainingJob(folder)


@contextmanager
def one_at_a_time(work: Path) -> Iterator[None]:
    """Hold the lock of a work folder; the system lets it go when the process ends, however it does.

    Raises:
        FraudsimError: another process holds it, or the folder cannot be made.
    """
    try:
        work.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(work / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise FraudsimError(f"--work {work}: {error.strerror}; name a folder that can be written") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FraudsimError(
                f"--work {work}: another retraining is at work there; wait for it, or name another folder"
            ) from None
        yield
    finally:
        os.close(descriptor)


def read_json(path: Path, kind: type[T]) -> T:
    """The content of a job's file. Raises FraudsimError if it cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FraudsimError(f"retraining {path}: {error}; remove its folder to begin anew") from None
