"""`fraudsim model backtest`."""

from pathlib import Path
from typing import Annotated

import typer

from fraudsim.process.terminal import plain_console


def backtest(
    a: Annotated[Path, typer.Argument(help="folder of the model that decides today")],
    b: Annotated[Path, typer.Argument(help="folder of the model that may take its role")],
    out: Annotated[Path, typer.Option(help="folder for backtest.json and index.html")],
    history: Annotated[
        Path | None, typer.Option(help="a history: its world goes on, or its file ends, with both models")
    ] = None,
    run: Annotated[Path | None, typer.Option(help="an archived run that A has decided")] = None,
    weeks: Annotated[int, typer.Option(min=1, max=520, help="weeks of a history")] = 4,
    margin: Annotated[
        float, typer.Option(help="share of A's net loss by which B may cost more and is not worse")
    ] = 0.05,
    maturity: Annotated[
        float | None,
        typer.Option(help="days after which a run's labels count  [default: FRAUDSIM_LABEL_GAP_DAYS]"),
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(help="folder of a policy, for a history  [default: FRAUDSIM_POLICY]")
    ] = None,
    reacting: Annotated[bool, typer.Option(help="campaigns of a world react to what stops them")] = True,
) -> None:
    """Compare two models on past weeks; exit 0: B is not worse, 1: worse, 3: these weeks cannot tell."""
    from fraudsim.settings import load_settings
    from lifecycle.backtest.backtest import BacktestPlan
    from lifecycle.backtest.backtest import backtest as compare
    from lifecycle.backtest.page import summary_lines

    plan = BacktestPlan(a, b, out, history, run, weeks, margin, maturity, policy, reacting)
    with plain_console().status("backtest") as status:
        result = compare(plan, load_settings(), status.update)
    for line in summary_lines(result):
        typer.echo(line)
    typer.echo(f"written to {out}: backtest.json, index.html")
    raise typer.Exit(result.gate)
