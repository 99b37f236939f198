"""`fraudsim train`, `fraudsim score-only` and `fraudsim model …`."""

from pathlib import Path

import typer

from model.registry.cli import model
from model.tuning.cli import tune

app = typer.Typer()
model.command("tune")(tune)
app.add_typer(model, name="model")


@app.command()
def train(
    history: Path = typer.Option(..., help="history folder, from `fraudsim world generate`"),
    out: Path = typer.Option(..., help="folder of the model; made, or replaced whole"),
    warm_up_days: float | None = typer.Option(
        None, min=0, help="days at the start not trained on [default: min(30, a third of the history)]"
    ),
    variants: bool = typer.Option(
        False, "--variants", help="also a cascade and a distilled model, for FRAUDSIM_MODEL_KIND"
    ),
) -> None:
    """Train a model on a history, choose its thresholds by cost, test it, and write it."""
    from rich.console import Console

    from fraudsim.settings import load_settings
    from model.report.model_table import model_table
    from model.training.train import TrainingPlan, train_model

    console = Console(markup=False, emoji=False)
    plan = TrainingPlan(warm_up_days=warm_up_days, variants=variants)
    manifest = train_model(history, out, load_settings(), plan, console)
    console.print(model_table(manifest))
    typer.echo(f"written to {out}")


@app.command("score-only")
def score_only(
    file: Path = typer.Argument(..., help="ULB's creditcard.csv: Time, V1 to V28, Amount, Class"),
    json: Path | None = typer.Option(None, "--json", help="also write the figures as JSON"),
) -> None:
    """Train on the first day of a file without cards, score the rest without state, and say how well."""
    from rich.console import Console
    from rich.markup import escape

    from fraudsim.settings import load_settings
    from model.report.score_only_table import score_only_table
    from model.training import score_only as scoring
    from producers.datasets.registry import read_score_only

    console = Console(markup=False, emoji=False)
    with console.status(escape(f"reading {file.name}")):
        rows = read_score_only(file)
    with console.status(f"training on the first day of {len(rows):,} transactions"):
        result = scoring.score_only(rows, load_settings().seed)
    console.print(score_only_table(file.name, result))
    if json is not None:
        scoring.write_json(json, result)
