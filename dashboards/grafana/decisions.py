"""Decisions: what was decided, with what marks, and what could not be."""

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.grafana.panels import board, heat, series

_RATE = "via_action:fraudsim_decisions:rate1m"


def make() -> Dashboard:
    what = [
        series(
            "Actions",
            (f"sum by (action) ({_RATE})", "{{action}}"),
            unit=units.CountsPerSecond,
            stacked=True,
        ),
        series(
            "Share of all but approvals",
            (
                f'sum by (action) ({_RATE}{{action!="approve"}}) / on () group_left () sum({_RATE})',
                "{{action}}",
            ),
            unit=units.PercentUnit,
        ),
        series(
            "Declines against the hours before",
            ('action:fraudsim_decisions:ratio_rate30m{action="decline"}', "30 minutes"),
            ('action:fraudsim_decisions:ratio_rate6h{action="decline"} offset 30m', "the 6 hours before"),
            unit=units.PercentUnit,
            about="Half as much again, or a third less, and no chance: DeclineRateShift.",
        ),
        heat("Scores", "fraudsim_score", "", units.PercentUnit, "Decisions by score.", width=12),
        series(
            "Score",
            *(
                (
                    f"histogram_quantile({q}, sum by (le) (rate(fraudsim_score_bucket[$__rate_interval])))",
                    str(q),
                )
                for q in (0.5, 0.9, 0.99)
            ),
            unit=units.PercentUnit,
            about="Quantiles, interpolated within a bucket.",
            width=12,
        ),
    ]
    marks = [
        series(
            "Marks",
            ("flag:fraudsim_decisions:ratio_rate5m", "{{flag}}"),
            unit=units.PercentUnit,
            about="Share of 5 minutes' decisions that are stale, degraded or uncertain.",
            limit=0.01,
        ),
        series(
            "HTTP replies",
            ("sum by (status) (rate(fraudsim_http_replies_total[$__rate_interval]))", "{{status}}"),
            unit=units.RequestsPerSecond,
            stacked=True,
        ),
        series(
            "Transactions by outcome",
            (
                "sum by (stage, outcome) "
                '(rate(fraudsim_transactions_total{outcome!="ok"}[$__rate_interval]))',
                "{{stage}} {{outcome}}",
            ),
            unit=units.CountsPerSecond,
            about="All that is not plainly well: duplicates, unreadable state, what could not be published.",
        ),
        series(
            "Dead letters",
            ("sum by (field) (increase(fraudsim_dead_letters_total[5m]))", "{{field}}"),
            about="In 5 minutes, by the field that was wrong. The records are in transactions.dlq.",
            width=12,
        ),
        series(
            "Labels",
            (
                "sum by (stage, outcome) (rate(fraudsim_labels_total[$__rate_interval]))",
                "{{stage}} {{outcome}}",
            ),
            unit=units.CountsPerSecond,
            width=12,
        ),
    ]
    about = "What was decided, with what marks, and what could not be."
    return board(
        "fraudsim-decisions", "Decisions", about, [("Decisions", what), ("Marks and refusals", marks)]
    )
