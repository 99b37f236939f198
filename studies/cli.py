"""`fraudsim study NAME`."""

from pathlib import Path

import typer

app = typer.Typer()
study_app = typer.Typer(no_args_is_help=True, help="Experiments on a history; each writes JSON and a page.")
app.add_typer(study_app, name="study")


@study_app.callback()
def study() -> None:
    """Keeps `study` a group while it has one command."""


@study_app.command()
def freshness(
    history: Path = typer.Option(..., help="history folder, from `fraudsim world generate`"),
    out: Path = typer.Option(..., help="folder for freshness.json and freshness.md"),
) -> None:
    """Average precision and recall by typology with features fresh, 5 min, 1 h and 1 d old."""
    from rich.console import Console
    from rich.markdown import Markdown

    from fraudsim.settings import load_settings
    from studies import freshness as study_of

    console = Console()
    with console.status("freshness") as status:
        result = study_of.study(
            history, out, load_settings(), on_lag=lambda name: status.update(f"freshness: {name}")
        )
    console.print(Markdown(study_of.markdown(result)))
    console.print(f"written to {out}")
