"""The board of decisions: actions and scores, their worth by the truth, and refusals."""

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.grafana.panels import Panels, Rows, board, heat, series

_RATE = "via_action:fraudsim_decisions:rate1m"
_FRAUD = "fraudsim_fraud_value_cents_total"
_STOPPED = f'{_FRAUD}{{outcome!="paid"}}'
_PAID = f'{_FRAUD}{{outcome="paid"}}'
_HONEST = "fraudsim_honest_transactions_total"


def make_board() -> Dashboard:
    about = "What was decided, what it was worth, with what marks, and what could not be."
    rows: Rows = [
        ("Decisions", _actions()),
        ("Money, by the truth (`fraudsim watch`)", _worth()),
        ("Marks and refusals", _marks()),
    ]
    return board("fraudsim-decisions", "Decisions", about, rows)


def _actions() -> Panels:
    return [
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


def _marks() -> Panels:
    return [
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


def _worth() -> Panels:
    return [
        series(
            "Net loss per 1,000 cards and week",
            ("fraudsim_ledger_net_loss_cents / 100", "by {{view}}"),
            about="Fraud paid, insults, friction and reviews since `watch` started, in whole units of money. "
            "By labels: what a bank knows, which is neither its insults nor the frauds not reported yet.",
        ),
        series(
            "Cost by kind",
            ('sum by (kind) (increase(fraudsim_ledger_cents_total{view="truth"}[5m])) / 100', "{{kind}}"),
            about="Of 5 minutes, in whole units of money.",
            stacked=True,
        ),
        series(
            "Fraud paid, by typology",
            (f"sum by (typology) (increase({_PAID}[5m])) / 100", "{{typology}}"),
            about="Amounts of 5 minutes that went through, in whole units of money.",
            stacked=True,
        ),
        series(
            "Fraud stopped, by what",
            (f"sum by (outcome) (increase({_STOPPED}[5m])) / 100", "{{outcome}}"),
            about="Amounts of 5 minutes. Who is stopped tries again: this is not what a defence is worth; "
            "twin runs tell that (`fraudsim ledger compare`).",
            stacked=True,
        ),
        series(
            "Insults",
            (
                f'sum by (outcome) (increase({_HONEST}{{outcome!="paid"}}[1h])) '
                f"/ on () group_left () sum(increase({_HONEST}[1h]))",
                "{{outcome}}",
            ),
            unit=units.PercentUnit,
            about="Share of an hour's honest payments that did not go through, by what stopped them.",
        ),
        series(
            "False positives for each fraud found",
            (
                'increase(fraudsim_ledger_alerts_total{truth="honest"}[1h]) / on () '
                'increase(fraudsim_ledger_alerts_total{truth="fraud"}[1h])',
                "alerts",
            ),
            about="Of an hour's alerts: payments stepped up, reviewed or declined.",
        ),
        series(
            "Frauds by typology",
            ("sum by (typology) (increase(fraudsim_fraud_transactions_total[5m]))", "{{typology}}"),
            about="In 5 minutes, whatever became of them.",
            stacked=True,
        ),
        series(
            "Analysts",
            ("increase(fraudsim_ledger_review_minutes_total[1h]) / 60", "hours of reviews in an hour"),
            ("fraudsim_ledger_open_reviews", "cases that wait"),
            about="Hours of event time in an hour of wall time, and the queue.",
        ),
    ]
