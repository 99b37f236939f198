"""The producer's process: the live stream sent at its intended times, from where the log ends."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import typer

from fraudsim.errors import FraudsimError
from fraudsim.log.clock import Clock
from fraudsim.log.clock_log import open_clock
from fraudsim.log.topics import CLOCK, DECISIONS, NULL
from fraudsim.logs import set_up_logs
from fraudsim.metrics import serve_metrics
from fraudsim.settings import Settings, load_settings
from fraudsim.stop_signals import stop_on_signals
from producers.sender.log_ends import partitions_of
from producers.sender.outbox import SendError
from producers.sender.sender import SWITCH_S, SendReport, send
from producers.sender.shards import Task, send_in_shards
from producers.sources.reactions import Reactions
from producers.sources.source import Source
from producers.traffic.decline_reader import DeclineReader
from producers.traffic.live_source import Stream, live_source
from producers.traffic.report_file import read_report, write_report


def run_producer(
    stream: Stream,
    *,
    seconds: float | None = None,
    report: Path | None = None,
    null: bool = False,
    shards: int = 1,
    reacting: bool = False,
) -> None:
    """Send until the stream ends, or a signal comes. Exits with 1 where the next start can mend it.

    Args:
        seconds: wall seconds of live traffic; None is to a file's last transaction, or without end.
        report: a JSON file to keep a report in; what it says of an earlier start is carried on.
        null: send to the topics of the null pipeline.
        shards: processes that share the sending.
        reacting: whether campaigns of fraud react to declines.

    Raises:
        FraudsimError: what is asked for contradicts itself or the log.
    """
    _check_reacting(stream, null, shards, reacting)
    settings = load_settings()
    log = set_up_logs(settings, "producer")
    sys.setswitchinterval(SWITCH_S)
    stop = stop_on_signals()
    prefix = NULL if null else ""
    clock_log = open_clock(settings, topic=prefix + CLOCK)
    live = live_source(stream, clock_log.clock, settings, log)
    seconds = live.lasts_s if seconds is None else seconds
    reactions = Reactions(live.source, live.world) if reacting and live.world is not None else None
    source = reactions or live.source
    log.info("producing", source=source.name, speed=stream.speed, metrics_port=serve_metrics(settings))
    earlier = read_report(report, SendReport)
    common: dict[str, Any] = {
        "clock_log": clock_log,
        "stop": stop,
        "on_progress": lambda state: write_report(report, state),
        "earlier": earlier if earlier and earlier.source == source.name else None,
    }
    try:
        if shards > 1:
            again = partial(_source_of, stream, settings)
            task = Task(again, settings, shards, stream.speed, seconds, prefix)
            done = send_in_shards(task, source, **common)
        elif reactions is None:
            done = send(source, settings, speed=stream.speed, seconds=seconds, prefix=prefix, **common)
        else:
            partitions = partitions_of(settings, [DECISIONS])[DECISIONS]
            with DeclineReader(settings, partitions, reactions.declined, stop) as declines:
                done = send(
                    source, settings, speed=stream.speed, seconds=seconds, react=reactions.react, **common
                )
            if declines.failure is not None:
                raise SendError(f"declines cannot be read any more: {declines.failure}")
            log.info("reacted", transactions=dict(reactions.counts))
    except SendError as error:
        log.error("ending, to go on in a new process", error=str(error))
        raise typer.Exit(1) from None
    log.info("produced", records=done.records, late=done.late, behind_s=done.behind_s, complete=done.complete)


def _check_reacting(stream: Stream, null: bool, shards: int, reacting: bool) -> None:
    if not reacting:
        return
    if stream.history is None:
        raise FraudsimError("--reacting needs the world: a replayed file has no campaigns")
    if stream.labels:
        raise FraudsimError("--reacting needs --no-labels: run `fraudsim labels`, they follow from decisions")
    if null or shards > 1:
        raise FraudsimError(f"--reacting does not go with {'--null' if null else f'--shards {shards}'}")


def _source_of(stream: Stream, settings: Settings, clock: Clock) -> Source:
    """In a shard's process: the parent has said already what is left out."""
    return live_source(stream, clock, settings).source
