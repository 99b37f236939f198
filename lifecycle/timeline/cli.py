"""`fraudsim model timeline`."""

from pathlib import Path

import typer

from fraudsim.errors import FraudsimError


def timeline(
    out: Path = typer.Option(..., help="folder of the run, timeline.json and timeline.svg"),
    weeks: int = typer.Option(23, min=14, help="weeks of event time; fraud begins to hide in the 12th"),
    cards: int = typer.Option(200, min=100, help="cards of the world"),
    rate: float = typer.Option(100.0, min=1, help="transactions per wall second; more is a shorter run"),
    seed: int | None = typer.Option(None, min=0, help="seed of the world  [default: FRAUDSIM_SEED]"),
) -> None:
    """Play a change on a live line: alarm, retraining, shadow, promotion, net loss. Some 15 minutes."""
    from fraudsim.settings import load_settings
    from lifecycle.timeline.plan import TimelinePlan
    from lifecycle.timeline.play import PLOT_FILE, play
    from lifecycle.timeline.summary import summary_lines
    from runner.cli import exit_on_termination

    settings = load_settings()
    if seed is not None:
        settings = settings.model_copy(update={"seed": seed})
    with exit_on_termination():
        result = play(out, TimelinePlan(weeks=weeks, cards=cards, rate=rate), settings)
    for line in summary_lines(result):
        typer.echo(line)
    typer.echo(f"drawn in {out / PLOT_FILE}")
    if result.first("promotion") is None:
        raise FraudsimError(f"--weeks {weeks}: no retrained model was promoted in that time; give more weeks")
