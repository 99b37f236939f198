"""`fraudsim prepare`, `clock`, `produce-line`, `compile`: the steps of a deployment, each safe to repeat."""

from pathlib import Path

import typer

app = typer.Typer()
clock = typer.Typer(no_args_is_help=True, help="The run's clock, in the log: start it, show it.")
app.add_typer(clock, name="clock")

RUN = typer.Option(..., "--run", help="run folder: history/, model/, models/, policy/, the producer's report")
RATE = typer.Option(300.0, min=0.1, help="transactions per wall second; with the history it gives the speed")


@app.command()
def prepare(
    run: Path = RUN,
    cards: int = typer.Option(5_000, min=10, help="cards of the synthetic world"),
    history_days: int = typer.Option(75, min=10, help="days of history before the first live transaction"),
) -> None:
    """Make a run folder's history, model, registry and policy; what exists already is checked and kept."""
    from fraudsim.settings import load_settings
    from producers.progress import progress
    from producers.world.settings import world_config
    from runner.line.one_shots import (
        keep_or_copy_policy,
        keep_or_make_history,
        keep_or_register_model,
        keep_or_train_model,
    )

    settings = load_settings()
    with progress("days of history", history_days) as on_day:
        history, is_new = keep_or_make_history(
            run / "history", world_config(settings, cards), history_days, on_day
        )
    manifest = history.manifest
    typer.echo(
        f"history {'made' if is_new else 'kept'}: {manifest.transactions:,} transactions of "
        f"{manifest.days} days, fingerprint {manifest.fingerprint[:16]}"
    )
    version, is_trained = keep_or_train_model(history, run / "model", settings)
    typer.echo(f"model {'trained' if is_trained else 'kept'}: {version}")
    champion, is_registered = keep_or_register_model(run / "model", run / "models")
    typer.echo(f"registry {'made' if is_registered else 'kept'}, champion: {champion}")
    policy, is_copied = keep_or_copy_policy(run / "policy")
    typer.echo(f"policy {'shipped' if is_copied else 'kept'}: {policy}")


@clock.command()
def start(
    history: Path = typer.Option(..., help="folder of the history that the log follows"),
    rate: float = RATE,
) -> None:
    """Name a new log after its history; a log of the same history is kept, another one is an error."""
    from fraudsim.settings import load_settings
    from producers.history.reader import read_history
    from runner.line.one_shots import keep_or_start_clock
    from runner.line.speed import speed_for

    read = read_history(history)
    speed = speed_for(rate, read.manifest.transactions_per_day)
    log_clock, is_started = keep_or_start_clock(load_settings(), read, speed)
    typer.echo(
        f"log {log_clock.log_id} {'started' if is_started else 'already started'} after history "
        f"{log_clock.first.history_fingerprint[:16]}; {rate:g} tx/s is {speed:,.1f} event seconds per second"
    )


@clock.command()
def show() -> None:
    """Print the clock's segments: when, in event time and wall time, and how fast."""
    from datetime import UTC, datetime

    from rich.table import Table

    from fraudsim.errors import FraudsimError
    from fraudsim.log.clock import Clock
    from fraudsim.log.clock_log import ClockLog
    from fraudsim.process.terminal import plain_console
    from fraudsim.settings import load_settings

    log = ClockLog(load_settings().kafka_bootstrap, Clock())
    log.refresh()
    if not log.clock:
        raise FraudsimError("run.clock has no segment: start a log with `fraudsim clock start`")
    first = log.clock.first
    title = f"log {first.log_id}, history {first.history_fingerprint[:16] or 'none'}"
    table = Table("segment", "event time, UTC", "wall time, UTC", "speed", title=title)
    for segment in log.clock.segments:
        event_time, wall_time = (
            datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
            for ms in (segment.event_epoch_ms, segment.wall_epoch_ms)
        )
        table.add_row(str(segment.number), event_time, wall_time, f"{segment.speed:g}")
    plain_console().print(table)


@app.command("produce-line")
def produce_line(
    run: Path = RUN,
    rate: float = RATE,
    seconds: float | None = typer.Option(None, min=0, help="wall seconds  [default: until stopped]"),
    shards: int = typer.Option(1, min=1, max=64, help="processes that share the sending by card"),
) -> None:
    """Send the live stream that follows a run folder's history, at a rate; continues where it stopped."""
    from producers.traffic.produce import run_producer
    from runner.line.one_shots import stream_at

    run_producer(
        stream_at(run, rate, labels=False), seconds=seconds, report=run / "producer.json", shards=shards
    )


@app.command("label-line")
def label_line(
    run: Path = RUN,
    rate: float = RATE,
    seconds: float | None = typer.Option(None, min=0, help="wall seconds  [default: until stopped]"),
) -> None:
    """Send the labels that follow from the decisions on `produce-line`'s stream."""
    from producers.label_feed.process import run_feed
    from runner.line.one_shots import stream_at

    run_feed(stream_at(run, rate), seconds=seconds, report=run / "labels.json")


@app.command("compile")
def compile_ahead() -> None:
    """Compile the feature kernels into NUMBA_CACHE_DIR, so that no process waits for it at its start."""
    from runner.line.one_shots import compile_kernels

    compile_kernels()
