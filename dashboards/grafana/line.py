"""The board of the line: throughput, latency, lag, and liveness of the processes."""

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.grafana.panels import OBJECTIVE_S, Panels, Rows, board, heat, number, series

_LATENCY = "via:fraudsim_decision_latency_seconds:quantile1m"
_STAGE = "stage:fraudsim_stage_latency_seconds:quantile1m"
_LATE = "stream:fraudsim_decisions_late:ratio_rate"
_BATCH = "fraudsim_fold_batch_size"


def make_board() -> Dashboard:
    rows: Rows = [("Now", _current()), ("Flow", _flow()), ("Freshness", _freshness()), ("Life", _liveness())]
    about = "How much flows, how fast it is decided, how far behind readers are, and who is alive."
    return board("fraudsim-line", "The line", about, rows)


def _current() -> Panels:
    return [
        number("Decisions per second", "sum(via_action:fraudsim_decisions:rate1m)", width=6),
        number(
            "p99 of the stream",
            f'{_LATENCY}{{via="stream",quantile="0.99"}}',
            units.Seconds,
            "From the intended send to the decision, over a minute.",
            limit=OBJECTIVE_S,
        ),
        number(
            "Late by more than 50 ms",
            f"{_LATE}5m",
            units.PercentUnit,
            "Of the stream's decisions of 5 minutes. The objective allows 1 %.",
            limit=0.01,
        ),
        number(
            "Alerts that fire",
            'count(ALERTS{alertstate="firing"}) or vector(0)',
            about="What each means and how to end it: docs/runbooks.",
            limit=1,
        ),
    ]


def _flow() -> Panels:
    return [
        series(
            "Throughput",
            ('sum(rate(fraudsim_transactions_total{stage="sent"}[$__rate_interval]))', "sent"),
            ("sum by (via) (rate(fraudsim_decisions_total[$__rate_interval]))", "decided by {{via}}"),
            (f"sum(rate({_BATCH}_sum[$__rate_interval]))", "folded"),
            unit=units.CountsPerSecond,
            about="Sent by the producer, decided, folded into Redis. HTTP adds to the last two.",
        ),
        series(
            "Latency",
            (_LATENCY, "{{via}} {{quantile}}"),
            unit=units.Seconds,
            about="From the intended send to the decision, interpolated within a bucket.",
            limit=OBJECTIVE_S,
        ),
        heat(
            "Latency of the stream",
            "fraudsim_decision_latency_seconds",
            'via="stream"',
            units.Seconds,
            "Decisions by how late they were.",
        ),
        series("Median by stage", (f'{_STAGE}{{quantile="0.5"}}', "{{stage}}"), unit=units.Seconds),
        series(
            "p99 by stage",
            (f'{_STAGE}{{quantile="0.99"}}', "{{stage}}"),
            unit=units.Seconds,
            about="`received` is sender and Kafka; `state_read` Redis; the rest is the scorer's own.",
        ),
        series(
            "Share late by more than 50 ms",
            *((f"{_LATE}{window}", window) for window in ("5m", "30m", "1h", "6h", "3d")),
            unit=units.PercentUnit,
            about="By window. Above 1 % the budget shrinks; alerts fire at 1, 6 and 14.4 %.",
            limit=0.01,
        ),
    ]


def _freshness() -> Panels:
    return [
        series(
            "Lag",
            ("process_topic:fraudsim_consumer_lag_records:max", "{{process}} {{topic}}"),
            about="Records between a reader and the log's end. The archiver's saw-tooth is normal.",
        ),
        series(
            "Age of the Redis state",
            ("fraudsim_staleness_seconds:quantile5m", "{{quantile}}"),
            unit=units.Seconds,
            about="What a decision starts from. The unfolded tail is added, so the features are exact.",
        ),
        series(
            "The same in event time",
            (
                "histogram_quantile(0.99, sum by (le) "
                "(rate(fraudsim_staleness_event_time_seconds_bucket[$__rate_interval])))",
                "0.99",
            ),
            unit=units.Seconds,
        ),
        series(
            "Mean fold",
            (f"sum(rate({_BATCH}_sum[1m])) / sum(rate({_BATCH}_count[1m]))", "transactions a write"),
            about="How many transactions the worker folds before it writes.",
        ),
        series(
            "Slots", ("fraudsim_slots_owned > 0", "{{instance}}"), about="Who folds how many.", stacked=True
        ),
        series(
            "Refused writes",
            ("sum by (instance) (increase(fraudsim_fenced_writes_total[5m]))", "{{instance}}"),
            about="By the fence, in 5 minutes. Some are normal while slots change hands.",
        ),
    ]


def _liveness() -> Panels:
    return [
        series(
            "Since the last sign of life",
            ("time() - fraudsim_heartbeat_timestamp_seconds", "{{job}} {{instance}}"),
            unit=units.Seconds,
            limit=20,
        ),
        series(
            "Restarts",
            ("sum by (job) (changes(process_start_time_seconds[15m]))", "{{job}}"),
            about="In 15 minutes. A replica that got another address counts as new.",
        ),
        series("Processes that answer", ("sum by (job) (up)", "{{job}}"), stacked=True),
    ]
