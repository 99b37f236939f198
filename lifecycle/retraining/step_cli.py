"""`fraudsim model retraining open | step`: a retraining as commands of its steps."""

from pathlib import Path
from typing import Annotated

import typer

retraining = typer.Typer(
    no_args_is_help=True, help="One retraining by its steps, for a scheduler: a task for each command."
)
EXIT_CODES = {"failed": 1, "rejected": 3, "shadow": 0, "promoted": 0}
RunFolder = Annotated[Path, typer.Option("--run", help="folder of a run: its history and archived log")]
WorkFolder = Annotated[
    Path | None, typer.Option("--work", help="folder of the steps' outputs  [default: RUN/retraining]")
]


@retraining.command("open")
def open_(
    run: RunFolder = Path("runs/latest"),
    at: Annotated[
        Path | None, typer.Option(help="folder of the registry  [default: FRAUDSIM_MODEL_DIR]")
    ] = None,
    days: Annotated[float, typer.Option(min=1, help="days of event time that are learned from")] = 90.0,
    promote: Annotated[
        bool, typer.Option("--promote", help="a model that passes the gate decides at once")
    ] = False,
    reason: Annotated[str, typer.Option(help="why, for lineage and audit log")] = "by hand",
    work: WorkFolder = None,
) -> None:
    """Print the name of the unfinished retraining, or of a new one as of now; nothing is run."""
    from fraudsim.settings import load_settings
    from lifecycle.retraining.retrain import RetrainingOptions, open_retraining

    settings = load_settings()
    options = RetrainingOptions(run, at or settings.model_dir, work or run / "retraining", days, promote)
    typer.echo(open_retraining(options, reason))


@retraining.command()
def step(
    name: Annotated[str, typer.Argument(help="the retraining, as `open` has printed it")],
    step_name: Annotated[
        str,
        typer.Argument(metavar="STEP", help="window, features, train, check, gate, register or shadow"),
    ],
    run: RunFolder = Path("runs/latest"),
    work: WorkFolder = None,
) -> None:
    """Run one step unless it is done; exit 0: done, 1 or 2: failed, 3: over, since the model is rejected."""
    from fraudsim.settings import load_settings
    from lifecycle.retraining.retrain import run_step

    result = run_step(work or run / "retraining", name, step_name, load_settings(), typer.echo)
    if result is None:
        typer.echo(f"step {step_name} is done")
        return
    typer.echo(" ".join(filter(None, (result.status, result.version, result.reason))))
    raise typer.Exit(EXIT_CODES[result.status])
