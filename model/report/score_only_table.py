"""The table of `fraudsim score-only`: how well a file without cards was scored."""

from rich.table import Table

from model.report.formatting import cost_text, figure, percent, threshold_rows
from model.training.score_only import ScoreOnlyResult


def score_only_table(file: str, result: ScoreOnlyResult) -> Table:
    table = Table(title=f"{file}, scored without state", show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column()
    scored_by = (
        f"by XGBoost itself: {result.not_compiled}"
        if result.not_compiled
        else f"by the compiled walk, equal to XGBoost's scores to the bit on all {result.test_rows:,} rows"
    )
    rows = {
        "trained on": f"the first day, {result.train_rows:,} transactions, {result.train_frauds:,} frauds",
        "tested on": f"the rest, {result.test_rows:,} transactions, {result.test_frauds:,} frauds",
        "average precision": figure(result.average_precision),
        "AUC": figure(result.auc),
        **threshold_rows(result.thresholds),
        "recall": f"{figure(result.recall)} acted on, {figure(result.recall_declined)} declined, "
        f"by acting on {percent(result.acted_on)} of transactions",
        "cost": cost_text(result.cost_share),
        "scored": scored_by,
        "one score": f"{result.us_per_score:.1f} µs; XGBoost's own call {result.xgboost_us_per_score:.1f} µs",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table
