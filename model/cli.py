"""`fraudsim train`, `fraudsim score-only` and `fraudsim model …`."""

from datetime import UTC, datetime
from pathlib import Path

import typer

from fraudsim.process.terminal import plain_console
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
    from fraudsim.settings import load_settings
    from model.report.model_table import model_table
    from model.training.train import TrainingPlan, train_model

    console = plain_console()
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
    from rich.text import Text

    from fraudsim.settings import load_settings
    from model.report.score_only_table import score_only_table
    from model.training import score_only as scoring
    from producers.datasets.registry import read_score_only

    console = plain_console()
    with console.status(Text(f"reading {file.name}")):
        rows = read_score_only(file)
    with console.status(f"training on the first day of {len(rows):,} transactions"):
        result = scoring.score_only(rows, load_settings().seed)
    console.print(score_only_table(file.name, result))
    if json is not None:
        scoring.write_json(json, result)


@model.command("labels")
def labels_of_history(
    history: Path = typer.Option(..., help="history folder, from `fraudsim world generate`"),
    as_of: datetime | None = typer.Option(
        None, formats=["%Y-%m-%d"], help="labels known before that day  [default: the history's end]"
    ),
    svg: Path | None = typer.Option(None, help="also draw the curves into this file"),
) -> None:
    """Show how much fraud is known after 1, 7, 30 and 90 days, and what recent fraud rates will become."""
    from fraudsim.errors import FraudsimError
    from fraudsim.whole_files import write_whole
    from model.report.maturity_table import maturity_svg, rates_table, shares_table
    from model.training.label_knowledge import LabelKnowledge
    from model.training.maturity import maturity_curves, recent_rates
    from producers.history.reader import read_history

    source = read_history(history)
    transactions = source.transactions()
    ts = transactions["ts"].to_numpy()
    knowledge = LabelKnowledge.of(transactions, source.labels())
    time_ms = int(as_of.replace(tzinfo=UTC).timestamp() * 1000) if as_of else source.manifest.end_ms
    curves = maturity_curves(ts, knowledge, time_ms)
    if not curves:
        raise FraudsimError(f"history {history}: no fraud is known by then; give a later --as-of")
    console = plain_console()
    console.print(shares_table(curves), rates_table(recent_rates(ts, knowledge, time_ms, days=7, spans=6)))
    if svg is not None:
        try:
            write_whole(svg, maturity_svg(curves))
        except OSError as error:
            raise FraudsimError(f"model labels {svg}: {error.strerror}; name another file") from None
