"""The weeks of a line as metrics."""

from dashboards.drift.line.week_records import STATUSES, WeekRecord
from fraudsim import metrics


def count_week(week: WeekRecord) -> None:
    """Count a week that was judged now."""
    metrics.DRIFT_WEEKS.labels(week.status).inc()


def show_week(week: WeekRecord) -> None:
    """Set the gauges from the last week."""
    metrics.DRIFT_WEEK_DISTANCE.clear()
    metrics.DRIFT_WEEK_LIMIT.clear()
    for status in STATUSES:
        metrics.DRIFT_WEEKS.labels(status)
        metrics.DRIFT_WEEK_STATUS.labels(status).set(week.status == status)
    for signal in week.signals:
        metrics.DRIFT_WEEK_DISTANCE.labels(signal.against, signal.name).set(signal.distance)
        metrics.DRIFT_WEEK_LIMIT.labels(signal.against, signal.name).set(signal.limit)
    metrics.DRIFT_WEEK_BEYOND.set(len(week.beyond))
    metrics.DRIFT_WEEK_END.set(week.end_ms / 1000)
    metrics.DRIFT_REFERENCE_WEEKS.set(week.reference_weeks)
    if week.mature is not None and week.mature.cost_share is not None:
        metrics.COST_SHARE.set(week.mature.cost_share)
