"""The model: which one decides, how old it is, and whether what it says changes."""

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.grafana.panels import board, number, series

_AGE = "fraudsim_event_timestamp_seconds - (fraudsim_model_trained_timestamp_seconds > 0)"


def make() -> Dashboard:
    which = [
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
        number("Event seconds per second", "max(deriv(fraudsim_event_timestamp_seconds[1m]))"),
    ]
    change = [
        series("Age by scorer", (_AGE, "{{instance}}"), unit=units.DurationSeconds),
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
    about = "Which model decides, how old it is, and whether what it says changes."
    return board("fraudsim-model", "Model", about, [("Served", which), ("Change", change)])
