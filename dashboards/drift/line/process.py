"""`fraudsim drift`: the weeks of a run, once or as they come."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from dashboards.drift.detector import FEWEST_WEEKS
from dashboards.drift.line.training_weeks import REFERENCE_MS, training_weeks
from dashboards.drift.line.week_metrics import count_week, show_week
from dashboards.drift.line.week_records import WeekRecord
from dashboards.drift.line.week_watch import WeekWatch
from dashboards.drift.week import WeekRows
from fraudsim import metrics
from fraudsim.errors import FraudsimError
from producers.history.reader import read_history
from stream_features.offline.archived_log import archived_clock
from stream_features.offline.bulk import bulk_features

Say = Callable[[str], None]
POLL_S: Final = 2.0
SHOWN: Final = 3
"""Signals that a line of text names."""


def open_watch(run_dir: Path, say: Say) -> WeekWatch:
    """A watch of a run, with the weeks of its history as a second reference where it has enough.

    Raises:
        FraudsimError: it has no history, or no archived clock yet.
    """
    history, start_ms = read_history(run_dir / "history"), archived_clock(run_dir).first.event_epoch_ms
    end_ms, training = history.manifest.end_ms, list[WeekRows]()
    if history.manifest.start_ms <= end_ms - REFERENCE_MS:
        transactions = history.transactions()
        training = list(training_weeks(transactions, bulk_features(transactions), end_ms))
    if len(training) < FEWEST_WEEKS:
        say("the history is shorter than ten weeks, so nothing is compared with the vectors of training")
        training = []
    return WeekWatch(run_dir, start_ms, training)


def weeks_of(run_dir: Path, say: Say) -> list[WeekRecord]:
    """Judge all weeks that a run's archive has.

    Raises:
        FraudsimError: see `open_watch` and `WeekWatch`.
    """
    watch = open_watch(run_dir, say)
    watch.look()
    return watch.records


def follow(run_dir: Path, stop: threading.Event, say: Say) -> int:
    """Judge weeks as they come, until `stop`, as metrics and in `RUN/drift`; returns the number of alarms."""
    watch, alarms, last_error = None, 0, ""
    while not stop.is_set():
        metrics.HEARTBEAT.set_to_current_time()
        try:
            if watch is None:
                watch = open_watch(run_dir, say)
                if watch.records:
                    show_week(watch.records[-1])
            for week in watch.look():
                count_week(week)
                show_week(week)
                alarms += week.status == "alarm"
                say(week_text(week))
        except FraudsimError as error:
            if str(error) != last_error:
                say(str(error))
            watch, last_error = None, str(error)
        stop.wait(POLL_S)
    return alarms


def week_text(week: WeekRecord) -> str:
    """A week in one line."""
    begin, end = (_date(ms) for ms in (week.start_ms, week.end_ms))
    parts = [f"{begin} to {end}: {week.status}", f"{week.payments:,} payments", f"champion {week.champion}"]
    if week.mature is not None and week.mature.cost_share is not None:
        parts.append(f"cost share two weeks before {week.mature.cost_share:.2f}")
    beyond = week.beyond
    if beyond:
        names = [f"{s.name} {s.distance:.3g} (limit {s.limit:.3g}, {s.against})" for s in beyond[:SHOWN]]
        others = [f"{len(beyond) - SHOWN} more"] if len(beyond) > SHOWN else []
        parts.append("; ".join([*names, *others]))
    return ", ".join(parts)


def _date(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).date().isoformat()
