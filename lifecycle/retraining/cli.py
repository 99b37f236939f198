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
    on: list[str] = typer.Option(
        [], help="again when this asks for it: drift, performance or money; needs `fraudsim drift --follow`"
    ),
    promote_after: str | None = typer.Option(
        None,
        help="with --every or --on: a shadow decides after so long, as 7d, if it costs no more",
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
    is_part = every is not None or bool(on)
    if until is not None and is_part:
        raise FraudsimError("--until stops one retraining, --every and --on repeat it: take one of them")
    if promote_after is not None and (promote or not is_part):
        raise FraudsimError("--promote-after needs --every or --on, and no --promote, which decides at once")
    settings = load_settings()
    options = RetrainingOptions(
        run, at or settings.model_dir, work or run / "retraining", days, promote, until
    )
    if is_part:
        _run_part(options, every, on, promote_after)
        return
    result = retrain_once(options, settings, typer.echo)
    if result is None:
        typer.echo(f"stopped after {until}; the same command without --until goes on")
        return
    typer.echo(" ".join(filter(None, (result.status, result.version, result.reason))))
    if result.status == "failed":
        raise typer.Exit(1)


def _run_part(
    options: "RetrainingOptions", every: str | None, on: list[str], promote_after: str | None
) -> None:
    import os

    from fraudsim.metrics import serve_metrics
    from fraudsim.process.logs import set_up_logs
    from fraudsim.process.stop_signals import stop_on_signals
    from fraudsim.settings import load_settings
    from lifecycle.retraining.part import RetrainingPart
    from lifecycle.retraining.triggers import cadence_of

    cadence = cadence_of(every, on, promote_after)
    settings = load_settings()
    log = set_up_logs(settings, "retrainer")
    stop = stop_on_signals()
    os.nice(10)
    names = [trigger.name for trigger in cadence.triggers]
    log.info("retraining", on=names, every=every, metrics_port=serve_metrics(settings))
    part = RetrainingPart(options, cadence, settings, lambda text: log.info("retraining", step=text))
    log.info("stopped", finished=part.run(stop))
