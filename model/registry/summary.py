"""Figures of models for people."""

from datetime import UTC, datetime

from rich.table import Table

from model.artefact.manifest import Manifest
from model.artefact.thresholds import NEVER
from model.training.score_only import ScoreOnly


def summary_of_scoring(file: str, found: ScoreOnly) -> Table:
    """A table of how well a file without cards was scored."""
    table = Table(title=f"{file}, scored without state", show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column()
    cuts = found.thresholds
    how = (
        f"by XGBoost itself: {found.not_compiled}"
        if found.not_compiled
        else f"by the compiled walk, equal to XGBoost's scores to the bit on all {found.test_rows:,} rows"
    )
    rows = {
        "trained on": f"the first day, {found.train_rows:,} transactions, {found.train_frauds:,} frauds",
        "tested on": f"the rest, {found.test_rows:,} transactions, {found.test_frauds:,} frauds",
        "average precision": _figure(found.average_precision),
        "AUC": _figure(found.auc),
        "step up from": _cut(cuts.step_up, cuts.review),
        "review from": _cut(cuts.review, cuts.decline),
        "decline from": _cut(cuts.decline, NEVER),
        "recall": f"{_figure(found.recall)} acted on, {_figure(found.recall_declined)} declined, "
        f"by acting on {_percent(found.acted_on)} of transactions",
        "cost": _cost(found.cost_share),
        "scored": how,
        "one score": f"{found.us_per_score:.1f} µs; XGBoost's own call {found.xgboost_us_per_score:.1f} µs",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def summary(manifest: Manifest) -> Table:
    """A table of what a model is and how good."""
    m, fallback = manifest.metrics, manifest.fallback.metrics
    table = Table(title=f"model {manifest.version}", show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column()
    rows = {
        "trained on": f"{_day(manifest.train_from_ms)} to {_day(manifest.train_until_ms)}, "
        f"{m.train_rows:,} transactions, {_percent(m.train_fraud_rate)} known fraud",
        "labels": f"as known on {_day(manifest.test_from_ms)}, {manifest.label_gap_days:g} days later; "
        f"{_percent(m.unknown_fraud_share)} of the period's fraud was not known yet",
        "tested on": f"{_day(manifest.test_from_ms)} onwards, {m.test_rows:,} transactions, "
        f"{_percent(m.test_fraud_rate)} fraud by all labels, however late; "
        f"without {m.compromised_cards:,} cards known compromised",
        "average precision": _figure(m.average_precision),
        "AUC": _figure(m.auc),
        "card precision@100": f"{_figure(m.card_precision_100)} "
        f"(a perfect ranking: {_figure(m.card_precision_100_ceiling)})",
        "calibration": f"mean score {_percent(m.mean_score)}, Brier {m.brier:.5f}",
        f"recall at {_percent(m.alert_budget)} alerts": _figure(m.recall),
        **{f"  found first by {name}": _figure(value) for name, value in m.recall_by_source.items()},
        **{f"  {name}": _figure(value) for name, value in m.recall_by_group.items()},
        "step up from": _cut(manifest.thresholds.step_up, manifest.thresholds.review),
        "review from": _cut(manifest.thresholds.review, manifest.thresholds.decline),
        "decline from": _cut(manifest.thresholds.decline, NEVER),
        "cost": _cost(m.cost_share),
        "without state": f"average precision {_figure(fallback.average_precision)}, "
        f"AUC {_figure(fallback.auc)}, recall {_figure(fallback.recall)} at as many alerts: the fallback, on "
        f"{len(manifest.fallback.features)} features of the request alone",
        "cost without state": _cost(fallback.cost_share),
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _day(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d")


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _figure(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def _cost(share: float | None) -> str:
    return "undefined" if share is None else f"{_percent(share)} of that of approving everything"


def _cut(value: float, stricter: float) -> str:
    return "never" if value >= stricter else f"{value:.4f}"
