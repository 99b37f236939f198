"""What happened in a run, from what its parts left: alarms, retrainings, shadows, promotions."""

from collections.abc import Iterator
from pathlib import Path

from dashboards.drift.line.week_records import WeekRecord
from lifecycle.retraining.job import RetrainingJob, jobs_in
from lifecycle.retraining.trial import TRIAL_FILE, trial_of
from lifecycle.timeline.result import TimelineMark


def marks_of(weeks: list[WeekRecord], work: Path, change_ms: int) -> list[TimelineMark]:
    """The marks of a run in order of event time.

    Args:
        weeks: as the weekly detector has judged them.
        work: folder of the retrainings.
    """
    marks = [TimelineMark(at_ms=change_ms, kind="change", text="fraud begins to hide")]
    for week in weeks:
        if week.status == "alarm":
            marks.append(TimelineMark(at_ms=week.end_ms, kind="alarm", text=week.beyond[0].name))
    for job in jobs_in(work):
        marks += _of_retraining(job)
    return sorted(marks, key=lambda mark: mark.at_ms)


def _of_retraining(job: RetrainingJob) -> Iterator[TimelineMark]:
    plan, result = job.plan, job.result
    yield TimelineMark(at_ms=plan.now_ms, kind="retraining", text=plan.trigger)
    if result is not None and result.status in ("rejected", "failed"):
        kind = "rejected" if result.status == "rejected" else "failed"
        yield TimelineMark(at_ms=plan.now_ms, kind=kind, text=result.reason)  # type: ignore[arg-type]
    if not (job.folder / TRIAL_FILE).exists():
        return
    trial = trial_of(job, 0)
    assert trial is not None
    yield TimelineMark(at_ms=trial.began_ms, kind="shadow", text=trial.version)
    if trial.ended_ms is not None:
        kind = "promotion" if trial.status == "promoted" else "dropped"
        figures = trial.figures
        text = "" if figures is None else f"{figures.difference:+,.0f} cents for 1,000 payments on trial"
        yield TimelineMark(at_ms=trial.ended_ms, kind=kind, text=text)  # type: ignore[arg-type]
