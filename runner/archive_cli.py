"""`fraudsim archive`: writes the run's log to Parquet files."""

from pathlib import Path

import typer

app = typer.Typer()


@app.command()
def archive(
    run: Path = typer.Option(..., "--run", help="run folder; files go to its log/ folder"),
    drain: bool = typer.Option(True, help="on SIGTERM read on to the log's ends of that moment, then exit"),
) -> None:
    """Write every record of the run's topics to Parquet files, each exactly once, until SIGTERM."""
    import os

    from fraudsim.metrics import serve_metrics
    from fraudsim.process.logs import set_up_logs
    from fraudsim.process.stop_signals import stop_on_signals
    from fraudsim.settings import load_settings
    from runner.record.archiver import run_archiver

    settings = load_settings()
    log = set_up_logs(settings, "archiver")
    stop = stop_on_signals()
    os.nice(10)
    log.info("archiving", run=str(run), metrics_port=serve_metrics(settings))
    log.info("archived", records=run_archiver(settings, run, stop, drain=drain))
