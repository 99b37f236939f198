"""The label feed's process: settings, logs, metrics and signals around the service."""

import asyncio
from functools import partial
from pathlib import Path

import typer

from fraudsim.log.clock_log import open_clock
from fraudsim.metrics import serve_metrics
from fraudsim.process.logs import set_up_logs
from fraudsim.process.stop_signals import stop_on_signals
from fraudsim.settings import load_settings
from producers.controls.attack import records_of
from producers.controls.controls import Placement
from producers.label_feed.service import feed_labels
from producers.labels.back_office import BackOffice
from producers.outbox.outbox import SendError
from producers.population.columns import DAY_MS
from producers.sources.source import Item
from producers.traffic.live_source import LiveStream, live_source
from producers.traffic.report_file import write_report
from producers.world.settings import consequences
from producers.world.world import World


def run_feed(stream: LiveStream, *, seconds: float | None = None, report: Path | None = None) -> None:
    """Feed labels until the stream ends or a signal comes. Exits with 1 if a new start can recover.

    Args:
        seconds: wall seconds of live traffic; None goes on to a file's last transaction, or without end.
        report: JSON file to keep a report in.

    Raises:
        FraudsimError: the options contradict each other or the log.
    """
    settings = load_settings()
    rules = consequences(settings)
    log = set_up_logs(settings, "labels")
    stop = stop_on_signals()
    live = live_source(stream, open_clock(settings).clock, settings, log)
    log.info("feeding labels", source=live.source.name, metrics_port=serve_metrics(settings))
    try:
        fed = asyncio.run(
            feed_labels(
                live.source,
                partial(BackOffice, rules, live.seed, (live.longest_days + 1) * DAY_MS),
                settings,
                speed=stream.speed,
                seconds=live.duration_s if seconds is None else seconds,
                stop=stop,
                on_progress=lambda state: write_report(report, state),
                records_of=partial(_records_of, live.world),
            )
        )
    except SendError as error:
        log.error("ending, to go on in a new process", error=str(error))
        raise typer.Exit(1) from None
    log.info("fed", labels=fed.sent, decisions=fed.decisions, withheld=fed.withheld)


def _records_of(world: World | None, placement: Placement) -> list[Item]:
    return records_of(placement, world) if world is not None else []
