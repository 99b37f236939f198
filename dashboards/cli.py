"""`fraudsim watch`, `drift` and `page`: outcomes as metrics, weeks of event time, the live page."""

from pathlib import Path

import typer

app = typer.Typer()


@app.command()
def watch(
    from_start: bool = typer.Option(
        False, "--from-start", help="count the whole log [default: only new records]"
    ),
    wait_s: float = typer.Option(
        30.0,
        min=0,
        help="seconds after which a decision not yet named a fraud by the truth is honest",
    ),
    reference: int = typer.Option(
        5_000, min=100, help="number of decisions, the first that are read, that drift is measured against"
    ),
) -> None:
    """Compare decisions with truth and labels, and serve the outcomes as metrics, until SIGTERM."""
    import os

    from dashboards.watch import run_watch
    from fraudsim.metrics import serve_metrics
    from fraudsim.process.logs import set_up_logs
    from fraudsim.process.stop_signals import stop_on_signals
    from fraudsim.settings import load_settings

    settings = load_settings()
    log = set_up_logs(settings, "watch")
    stop = stop_on_signals()
    os.nice(10)
    log.info("watching", from_start=from_start, metrics_port=serve_metrics(settings))
    log.info(
        "watched", **run_watch(settings, stop, from_start=from_start, wait_s=wait_s, reference=reference)
    )


@app.command()
def drift(
    run: Path = typer.Option(Path("runs/latest"), help="folder of a run: its history and archived log"),
    follow: bool = typer.Option(False, "--follow", help="go on as the archive grows, until SIGTERM"),
) -> None:
    """Compare each week of event time with earlier ones and with training's; exit 1: the last one alarms."""
    import os

    from dashboards.drift.line import process
    from fraudsim.metrics import serve_metrics
    from fraudsim.process.logs import set_up_logs
    from fraudsim.process.stop_signals import stop_on_signals
    from fraudsim.settings import load_settings

    if not follow:
        weeks = process.weeks_of(run, lambda text: typer.echo(text, err=True))
        for week in weeks:
            typer.echo(process.week_text(week))
        if not weeks:
            typer.echo("no week is over yet: the first two are only for the labels of others")
        raise typer.Exit(bool(weeks) and weeks[-1].status == "alarm")
    settings = load_settings()
    log = set_up_logs(settings, "drift")
    stop = stop_on_signals()
    os.nice(10)
    log.info("watching weeks", run=str(run), metrics_port=serve_metrics(settings))
    alarms = process.follow(run, stop, lambda text: log.info("week", says=text))
    log.info("stopped", alarms=alarms)


@app.command()
def page(
    run: Path | None = typer.Option(
        None, help="run folder whose parts are shown  [default: the services of compose, by name]"
    ),
    truth: bool = typer.Option(True, help="let readers see what only the simulation knows"),
) -> None:
    """Serve the live page of a line until SIGTERM; its address is in the log."""
    from dashboards.page.process import run_page
    from fraudsim.metrics import serve_metrics
    from fraudsim.process.logs import set_up_logs
    from fraudsim.settings import load_settings

    settings = load_settings()
    log = set_up_logs(settings, "page")
    log.info("serving", metrics_port=serve_metrics(settings))
    run_page(settings, log, run, with_truth=truth)
