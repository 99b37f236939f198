"""`fraudsim study NAME`: runs a study and prints its page."""

from datetime import datetime
from pathlib import Path

import typer

from fraudsim.process.terminal import plain_console
from studies.framed import FRAMED, command_of

app = typer.Typer()
study_app = typer.Typer(no_args_is_help=True, help="Experiments on a history; each writes JSON and a page.")
app.add_typer(study_app, name="study")


@study_app.command("list")
def list_studies() -> None:
    """The studies, and the question of each."""
    for command in study_app.registered_commands:
        name = command.name or (command.callback.__name__.replace("_", "-") if command.callback else "")
        if name != "list":
            question = (command.callback.__doc__ or "").strip().splitlines()[0] if command.callback else ""
            typer.echo(f"{name:14} {question}")


for _name in FRAMED:
    study_app.command(_name)(command_of(_name))


@study_app.command("all")
def run_all(
    out: Path = typer.Option(..., help="folder of all; each study has a folder in it, and goes on there"),
    quick: bool = typer.Option(False, "--quick", help="a look at each; the default"),
    full: bool = typer.Option(False, "--full", help="the studies themselves: hours"),
    seeds: int | None = typer.Option(None, min=2, max=30, help="worlds, instead of each study's number"),
    publish_to: Path | None = typer.Option(None, "--publish", help="folder to publish them in at the end"),
    without: list[str] = typer.Option([], "--without", help="a study to leave out; may be given again"),
) -> None:
    """All studies of arms and worlds, one after another, with an index of their answers.

    A study that fails does not stop the others; the command then ends with 1.
    """
    from studies.all_studies import run_all_studies
    from studies.framed import size_of

    size = size_of(quick=quick, full=full)
    if not run_all_studies(out, size, seeds, publish_to, frozenset(without), plain_console()):
        raise typer.Exit(1)


@study_app.command()
def publish(
    folders: list[Path] = typer.Argument(..., help="folders of finished studies, each with a result.json"),
    out: Path = typer.Option(Path("docs/studies"), help="folder of all of them, with an index"),
) -> None:
    """Draw the pages of finished studies anew, into one folder with an index."""
    from studies.frame.publication import publish as publish_results
    from studies.framed import kept_study, with_kept

    results = with_kept(out, dict(map(kept_study, folders)))
    publish_results(out, results)
    typer.echo(f"written to {out}: {', '.join(sorted(results))}")


@study_app.command()
def handbook(
    file: Path = typer.Argument(..., help="Parquet file of the Fraud Detection Handbook's layout"),
    out: Path = typer.Option(..., help="folder for result.json and result.md"),
    test_from: datetime | None = typer.Option(
        None, formats=["%Y-%m-%d"], help="first of seven days of test [default: the file's last seven]"
    ),
) -> None:
    """The Handbook's protocol: average precision, AUC and card precision@100 beside the published ones."""
    from fraudsim.settings import load_settings
    from studies import handbook as module

    console = plain_console()
    with console.status("handbook"):
        result = module.study(file, out, load_settings(), test_from.date() if test_from else None)
    module.page_of(result).print_to(console)
    typer.echo(f"written to {out}")


@study_app.command("twin-runs")
def twin_runs(
    out: Path = typer.Option(..., help="folder for the runs, twin_runs.json and twin_runs.md"),
    seeds: int = typer.Option(5, min=1, help="number of seeds; each has three runs of the whole line"),
    first_seed: int = typer.Option(1, min=0, help="the first of them"),
    seconds: float = typer.Option(20.0, min=1, help="wall seconds of live traffic of each run"),
    rate: float = typer.Option(300.0, min=0.1, help="transactions per wall second"),
    cards: int = typer.Option(2_000, min=10, help="cards of each world"),
    history_days: int = typer.Option(75, min=10, help="days of history of each world"),
    days: int | None = typer.Option(
        None, min=1, max=3650, help="days of event time by the fast-forward, instead of --seconds"
    ),
) -> None:
    """What blocks of cards and fraudsters' reactions are worth: net loss of twin runs, paired over seeds."""
    from fraudsim.settings import load_settings
    from studies import twin_runs as module

    console = plain_console()
    plan = module.TwinPlan(range(first_seed, first_seed + seeds), seconds, rate, cards, history_days, days)
    with console.status("twin runs") as status:
        result = module.study(out, load_settings(), plan, on_run=status.update)
    module.page_of(result).print_to(console)
    typer.echo(f"written to {out}")
