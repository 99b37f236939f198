"""`fraudsim produce`, `fraudsim labels` and `fraudsim world`: making the traffic."""

from pathlib import Path
from typing import Final

import typer

from producers import labels_cli, world_cli

SWITCH_S: Final = 0.0005
"""A send passes between three threads; each may wait this long for the one that makes the stream ahead."""

app = typer.Typer()
app.add_typer(world_cli.app, name="world")
app.add_typer(labels_cli.app)


@app.command()
def produce(
    history: Path | None = typer.Option(None, help="folder of the history that the stream goes on from"),
    replay: Path | None = typer.Option(None, help="file to replay from where the log's history ends"),
    speed: float = typer.Option(1.0, help="event seconds per wall second"),
    seconds: float | None = typer.Option(
        None, min=0, help="wall seconds of live traffic  [default: with --replay to the last transaction]"
    ),
    script: Path | None = typer.Option(
        None, help="scenario file to play on the stream, see `fraudsim world script`"
    ),
    report: Path | None = typer.Option(None, help="JSON file to keep a report in, rewritten every second"),
    labels: bool = typer.Option(
        True, help="send the world's own labels too, whatever is decided; else run `fraudsim labels`"
    ),
    null: bool = typer.Option(False, "--null", help="send to the topics of the null pipeline"),
) -> None:
    """Send the live stream at its intended times; started again after a crash, go on where it stopped."""
    import signal
    import sys
    import threading

    from fraudsim.clock_log import open_clock
    from fraudsim.logs import set_up_logs
    from fraudsim.metrics import serve_metrics
    from fraudsim.settings import load_settings
    from fraudsim.topics import CLOCK, NULL
    from producers.kafka_io import SendError
    from producers.live_source import live_source
    from producers.report_file import read_report, write_report
    from producers.sender import SendReport, send

    settings = load_settings()
    log = set_up_logs(settings, "producer")
    sys.setswitchinterval(SWITCH_S)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    prefix = NULL if null else ""
    clock_log = open_clock(settings, topic=prefix + CLOCK)
    live = live_source(history, replay, script, clock_log.clock, speed, settings, log, labels=labels)
    log.info("producing", source=live.source.name, speed=speed, metrics_port=serve_metrics(settings))

    earlier = read_report(report, SendReport)
    try:
        done = send(
            live.source,
            settings,
            speed=speed,
            seconds=live.lasts_s if seconds is None else seconds,
            clock_log=clock_log,
            stop=stop,
            on_progress=lambda state: write_report(report, state),
            earlier=earlier if earlier and earlier.source == live.source.name else None,
            labels=labels,
            prefix=prefix,
        )
    except SendError as error:
        log.error("ending, to go on in a new process", error=str(error))
        raise typer.Exit(1) from None
    log.info("produced", records=done.records, late=done.late, complete=done.complete)
