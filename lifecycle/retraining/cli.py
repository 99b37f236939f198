"""`fraudsim model retrain`."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from fraudsim.errors import FraudsimError

if TYPE_CHECKING:
    from lifecycle.retraining.retrain import RetrainingOptions


def retrain(
    run: Path = typer.Option(Path("runs/latest"), help="folder of a run: its history and archived log"),
    at: Path | None = typer.Option(None, help="folder of the registry  [default: FRAUDSIM_MODEL_DIR]"),
    days: float = typer.Option(90.0, min=1, help="days of event time before now that are learned from"),
    every: str | None = typer.Option(
        None, help="again whenever so much event time has passed, as 7d, until SIGTERM  [default: once]"
    ),
    promote: bool = typer.Option(
        False, "--promote", help="a model that passes the gate decides at once  [default: it is a shadow]"
    ),
    until: str | None = typer.Option(
        None, help="stop after this step: window, features, train, check, gate, register or shadow"
    ),
    work: Path | None = typer.Option(None, help="folder of the steps' outputs  [default: RUN/retraining]"),
) -> None:
    """Train a model on what is known by now, compare it with the champion, make it a shadow; resumable."""
    from fraudsim.settings import load_settings
    from lifecycle.retraining.retrain import RetrainingOptions
    from lifecycle.retraining.retrain import retrain as retrain_once
    from lifecycle.retraining.steps import NAMES

    if until is not None and until not in NAMES:
        raise FraudsimError(f"--until {until!r} is no step; there are {', '.join(NAMES)}")
    if until is not None and every is not None:
        raise FraudsimError("--until stops one retraining and --every repeats it: take one of them")
    settings = load_settings()
    options = RetrainingOptions(
        run, at or settings.model_dir, work or run / "retraining", days, promote, until
    )
    if every is not None:
        _retrain_every(options, every)
        return
    result = retrain_once(options, settings, typer.echo)
    if result is None:
        typer.echo(f"stopped after {until}; the same command without --until goes on")
        return
    typer.echo(" ".join(filter(None, (result.status, result.version, result.reason))))
    if result.status == "failed":
        raise typer.Exit(1)


def _retrain_every(options: "RetrainingOptions", every: str) -> None:
    import os

    from fraudsim.durations import duration_ms
    from fraudsim.metrics import serve_metrics
    from fraudsim.process.logs import set_up_logs
    from fraudsim.process.stop_signals import stop_on_signals
    from fraudsim.settings import load_settings
    from lifecycle.retraining.retrain import retrain_every

    try:
        every_ms = duration_ms(every)
    except FraudsimError as error:
        raise FraudsimError(f"--every {error}") from None
    settings = load_settings()
    log = set_up_logs(settings, "retrainer")
    stop = stop_on_signals()
    os.nice(10)
    log.info("retraining", every=every, metrics_port=serve_metrics(settings))
    finished = retrain_every(
        options, every_ms, settings, stop, lambda text: log.info("retraining", step=text)
    )
    log.info("stopped", finished=finished)
