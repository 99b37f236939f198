"""`fraudsim labels`: the labels of a live stream, as they follow from its decisions."""

from pathlib import Path

import typer

app = typer.Typer()


@app.command()
def labels(
    history: Path | None = typer.Option(None, help="folder of the history that the stream goes on from"),
    replay: Path | None = typer.Option(None, help="file that is replayed from where the log's history ends"),
    speed: float = typer.Option(1.0, help="event seconds per wall second, as of `fraudsim produce`"),
    seconds: float | None = typer.Option(
        None, min=0, help="wall seconds of live traffic  [default: with --replay to the last transaction]"
    ),
    script: Path | None = typer.Option(None, help="scenario file that is played on the stream"),
    report: Path | None = typer.Option(None, help="JSON file to keep a report in, rewritten every second"),
) -> None:
    """Send labels when they are known, as they follow from the decisions: replies, reviews, reports."""
    import asyncio
    import signal
    import threading

    from fraudsim.clock_log import open_clock
    from fraudsim.logs import set_up_logs
    from fraudsim.metrics import serve_metrics
    from fraudsim.settings import load_settings
    from producers.back_office import BackOffice
    from producers.columns import DAY_MS
    from producers.kafka_io import SendError
    from producers.label_service import feed_labels
    from producers.live_source import live_source
    from producers.report_file import write_report
    from producers.world_settings import consequences

    settings = load_settings()
    rules = consequences(settings)
    log = set_up_logs(settings, "labels")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    live = live_source(history, replay, script, open_clock(settings).clock, speed, settings, log)
    log.info("feeding labels", source=live.source.name, metrics_port=serve_metrics(settings))
    try:
        done = asyncio.run(
            feed_labels(
                live.source,
                BackOffice(rules, live.seed, keep_ms=(live.longest_days + 1) * DAY_MS),
                settings,
                speed=speed,
                seconds=live.lasts_s if seconds is None else seconds,
                stop=stop,
                on_progress=lambda state: write_report(report, state),
            )
        )
    except SendError as error:
        log.error("ending, to go on in a new process", error=str(error))
        raise typer.Exit(1) from None
    log.info("fed", labels=done.sent, decisions=done.decisions, withheld=done.withheld)
