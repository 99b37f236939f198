"""The table of one model: what it was trained on, and how well it tested."""

from datetime import UTC, datetime

from msgspec import UNSET
from rich.table import Table

from model.artefact.manifest import Manifest, Metrics
from model.report.formatting import cost_text, figure, percent, threshold_rows


def model_table(manifest: Manifest) -> Table:
    m, fallback = manifest.metrics, manifest.fallback.metrics
    table = Table(title=f"model {manifest.version}", show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column()
    rows = {
        "trained on": f"{_day(manifest.train_from_ms)} to {_day(manifest.train_until_ms)}, "
        f"{m.train_rows:,} transactions, {percent(m.train_fraud_rate)} known fraud",
        "labels": f"as known on {_day(manifest.test_from_ms)}, {manifest.label_gap_days:g} days later; "
        f"{percent(m.unknown_fraud_share)} of the period's fraud was not known yet{_mature_text(m)}",
        "tested on": f"{_day(manifest.test_from_ms)} onwards, {m.test_rows:,} transactions, "
        f"{percent(m.test_fraud_rate)} fraud by all labels, however late; "
        f"without {m.compromised_cards:,} cards known compromised",
        "average precision": figure(m.average_precision),
        "AUC": figure(m.auc),
        "card precision@100": f"{figure(m.card_precision_100)} "
        f"(a perfect ranking: {figure(m.card_precision_100_ceiling)})",
        "calibration": f"mean score {percent(m.mean_score)}, Brier {m.brier:.5f}",
        f"recall at {percent(m.alert_budget)} alerts": figure(m.recall),
        **{f"  found first by {name}": figure(value) for name, value in m.recall_by_source.items()},
        **{f"  {name}": figure(value) for name, value in m.recall_by_group.items()},
        **threshold_rows(manifest.thresholds),
        "cost": cost_text(m.cost_share),
        "without state": f"average precision {figure(fallback.average_precision)}, "
        f"AUC {figure(fallback.auc)}, recall {figure(fallback.recall)} at as many alerts: the fallback, on "
        f"{len(manifest.fallback.features)} features of the request alone",
        "cost without state": cost_text(fallback.cost_share),
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _day(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d")


def _mature_text(metrics: Metrics) -> str:
    """What the labels of that time made of it; empty for older models."""
    rate, share = metrics.mature_train_fraud_rate, metrics.train_known_share
    if rate is None or share is UNSET:
        return ""
    return f" (estimated then: {percent(1 - share)}; fraud with it {percent(rate)})"
