"""The board of the served model: its version and age, its scores, calibration and drift."""

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.grafana.panels import Panels, Rows, board, number, series

_AGE = "fraudsim_event_timestamp_seconds - (fraudsim_model_trained_timestamp_seconds > 0)"


def make_board() -> Dashboard:
    about = "Which model decides, how old it is, whether what it says changes, and whether it is true."
    rows: Rows = [
        ("Served", _served()),
        ("Change", _changes()),
        ("Weeks of event time (`fraudsim drift`)", _weeks()),
        ("By truth and labels (`fraudsim watch`)", _truth()),
    ]
    return board("fraudsim-model", "Model", about, rows)


def _served() -> Panels:
    return [
        number(
            "Version", "fraudsim_model_info", legend="{{version}}", about="More than one: a change under way."
        ),
        number("Features", "fraudsim_model_info", legend="{{features}}"),
        number(
            "Age",
            f"max({_AGE})",
            units.DurationSeconds,
            "In event time: what it has not learned from.",
            limit=90 * 86400,
        ),
        number(
            "Retraining fails",
            'sum(increase(fraudsim_retrainings_total{status="failed"}[1h]))',
            about="Retrainings of an hour that ended without a model.",
            limit=1,
        ),
        number("Event seconds per second", "max(deriv(fraudsim_event_timestamp_seconds[1m]))"),
    ]


def _changes() -> Panels:
    return [
        series("Age by scorer", (_AGE, "{{instance}}"), unit=units.DurationSeconds),
        series(
            "Retrainings",
            ("sum by (status) (increase(fraudsim_retrainings_total[1h]))", "{{status}}"),
            ("sum by (status) (increase(fraudsim_retraining_trials_total[1h]))", "trial: {{status}}"),
            about="How those of an hour ended: as a shadow, promoted, rejected by the gate, or failed; "
            "and how the trials of shadows did.",
        ),
        series(
            "Gate",
            ('fraudsim_retraining_gate_cents{job="retrainer"}', "{{instance}}"),
            about="Cost of the last new model less the champion's, cents for 1,000 payments; above 0 it is "
            "rejected.",
        ),
        series(
            "Labels that arrive",
            (
                'sum by (outcome) (rate(fraudsim_labels_total{stage="folded"}[$__rate_interval]))',
                "{{outcome}}",
            ),
            unit=units.CountsPerSecond,
            about="What the next model could learn from.",
        ),
        series(
            "Mean score",
            (
                "sum by (via) (rate(fraudsim_score_sum[5m])) / sum by (via) (rate(fraudsim_score_count[5m]))",
                "{{via}}",
            ),
            unit=units.PercentUnit,
            about="Moves when the traffic or the model does. Not a test of drift.",
        ),
    ]


def _weeks() -> Panels:
    distance, limit = "fraudsim_drift_week_distance", "fraudsim_drift_week_limit"
    return [
        number(
            "Last week",
            "fraudsim_drift_week_status == 1",
            legend="{{status}}",
            about="reference: nothing to compare with yet; promotion: another champion began a new one.",
            width=8,
        ),
        number(
            "Signals beyond their limits",
            "max(fraudsim_drift_week_signals_beyond)",
            about="Of the last week. Made for one alarm in twenty weeks without drift, over all signals.",
            limit=1,
            width=8,
        ),
        number(
            "Reference weeks",
            "max(fraudsim_drift_reference_weeks)",
            about="Of the line itself; eight are needed.",
            width=8,
        ),
        series(
            "Week over its limit",
            (f"topk(10, {distance} / {limit})", "{{signal}}, {{against}}"),
            about="Distance of the last week from the reference over that signal's limit: the ten furthest.",
            width=16,
            limit=1.0,
        ),
        series(
            "Cost share of decisions",
            ("max(fraudsim_cost_share)", "champion"),
            unit=units.PercentUnit,
            about="What the champion's decisions cost on payments two weeks old, over approving everything.",
        ),
    ]


def _truth() -> Panels:
    return [
        series(
            "Frauds over predicted",
            (
                "sum(increase(fraudsim_calibration_frauds_total[1h])) "
                "/ sum(increase(fraudsim_calibration_probability_total[1h]))",
                "of all decisions",
            ),
            about="1 where the probabilities are right on the whole, more where the model says too little.",
        ),
        series(
            "Predicted, by bucket",
            (_share("probability"), "up to {{bucket}}"),
            unit=units.PercentUnit,
            about="Mean probability of an hour's decisions, by the upper edge of their bucket.",
        ),
        series(
            "Observed, by bucket",
            (_share("frauds"), "up to {{bucket}}"),
            unit=units.PercentUnit,
            about="Share of frauds among the same decisions: of a calibrated model as beside.",
        ),
        series(
            "Drift beyond chance",
            ("fraudsim_drift_psi / fraudsim_drift_psi_limit", "{{feature}}"),
            about="Population stability index of the last decisions against the first watched, over "
            "what chance exceeds once in a thousand times among independent ones. Cards repeat themselves, "
            "and days have their hours: look at what rises. Merchants reach 6 by the hours alone.",
            width=12,
            limit=1.0,
        ),
        series(
            "Population stability index",
            ("fraudsim_drift_psi", "{{feature}}"),
            about="As it is. Its customary limits, 0.1 and 0.25, heed no sample size.",
            width=12,
        ),
        series(
            "Recent fraud, by labels",
            ('fraudsim_recent_fraud_rate{labels="mature"}', "{{days}} d, when all labels are there"),
            ('fraudsim_recent_fraud_rate{labels="known"}', "{{days}} d, as known"),
            unit=units.PercentUnit,
            about="Share of frauds among the payments of the last days of event time: as labelled so far, "
            "and over the share that is known at their age (see beside). No estimate while that share is "
            "under a fifth: the payments are too young.",
            width=12,
        ),
        series(
            "Share of recent frauds that is known",
            ("fraudsim_recent_fraud_known_share", "{{days}} d"),
            unit=units.PercentUnit,
            about="Estimated by the label delays of the history.",
            width=12,
        ),
        series(
            "Labels by source",
            (
                "sum by (source, verdict) (increase(fraudsim_label_delay_seconds_count[5m]))",
                "{{source}}: {{verdict}}",
            ),
            about="Arrived in 5 minutes, by who says what.",
            width=12,
            stacked=True,
        ),
        series(
            "Delay of labels",
            (
                "histogram_quantile(0.5, sum by (source, le) "
                "(increase(fraudsim_label_delay_seconds_bucket[1h])))",
                "{{source}}",
            ),
            unit=units.DurationSeconds,
            about="Median event time from the transaction to its label, of an hour's arrivals.",
            width=12,
        ),
    ]


def _share(part: str) -> str:
    """PromQL of a calibration counter divided by the decisions of its bucket."""
    return " / ".join(
        f"sum by (bucket) (increase(fraudsim_calibration_{name}_total[1h]))" for name in (part, "decisions")
    )
