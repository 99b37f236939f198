"""The producer's process: sends the live stream at its intended times, from where the log ends."""

import sys
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import typer

from fraudsim.errors import FraudsimError
from fraudsim.log.clock import Clock
from fraudsim.log.clock_log import open_clock
from fraudsim.log.consumer import existing_partitions
from fraudsim.log.topics import CLOCK, DECISIONS, NULL
from fraudsim.metrics import serve_metrics
from fraudsim.process.logs import set_up_logs
from fraudsim.process.stop_signals import stop_on_signals
from fraudsim.settings import Settings, load_settings, variable
from producers.controls.controlled_source import ControlledSource
from producers.outbox.outbox import SendError
from producers.sender import schedule
from producers.sender.clock_starter import DirectClockStarter
from producers.sender.send_plan import SendControl, SendPlan, SendReport
from producers.sender.sender import SWITCH_INTERVAL_S, send
from producers.sender.shard_coordinator import send_in_shards
from producers.sender.shard_messages import ShardingPlan
from producers.sources.reacting_source import ReactingSource
from producers.sources.source import Source
from producers.traffic.decision_reader import DecisionReader
from producers.traffic.live_source import LiveSource, LiveStream, live_source
from producers.traffic.report_file import read_report, write_report
from producers.traffic.sender_controls import SenderControls
from producers.world.settings import consequences
from producers.world.world import World


def run_producer(
    stream: LiveStream,
    *,
    seconds: float | None = None,
    report: Path | None = None,
    null: bool = False,
    shards: int = 1,
    reacting: bool = False,
) -> None:
    """Send until the stream ends or a signal comes. Exits with 1 if a new start can recover.

    Args:
        seconds: wall seconds of live traffic; None sends to a file's last transaction, or without end.
        report: JSON file to keep a report in; the figures of an earlier start in it are carried on.
        null: whether to send to the topics of the null pipeline.
        shards: processes that share the sending.
        reacting: whether people react to what stops their payments.

    Raises:
        FraudsimError: the options contradict each other or the log.
    """
    _check_reacting(stream, null, shards, reacting)
    settings = load_settings()
    log = set_up_logs(settings, "producer")
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    stop = stop_on_signals()
    prefix = NULL if null else ""
    clock_log = open_clock(settings, topic=prefix + CLOCK)
    live = live_source(stream, clock_log.clock, settings, log)
    seconds = live.duration_s if seconds is None else seconds
    with ExitStack() as open_controls:
        controls = None
        if settings.controls and not null:
            world = _controlled_world(live, stream, shards)
            end_ms = schedule.end_ms(live.source.start_ms, stream.speed, seconds)
            controls = open_controls.enter_context(
                SenderControls(settings.kafka_bootstrap, world, stream.speed, end_ms, stop)
            )
            live = live._replace(source=ControlledSource(live.source, controls.placements, world))
        reacting_source = None
        if reacting and live.world is not None:
            reacting_source = ReactingSource(live.source, live.world, consequences(settings))
        source = reacting_source or live.source
        log.info("producing", source=source.name, speed=stream.speed, metrics_port=serve_metrics(settings))
        earlier = read_report(report, SendReport)
        control = SendControl(
            stop=stop,
            on_progress=lambda state: write_report(report, state),
            earlier=earlier if earlier and earlier.source == source.name else None,
        )
        plan = SendPlan(speed=stream.speed, seconds=seconds, prefix=prefix, controls=controls)
        clock = DirectClockStarter(clock_log, source, stream.speed, controls.share if controls else 1.0)
        try:
            if shards > 1:
                make_source = partial(_make_source, stream, settings)
                sharding = ShardingPlan(make_source, settings, shards, stream.speed, seconds, prefix)
                sent = send_in_shards(sharding, source, clock, control)
            elif reacting_source is None:
                sent = send(source, settings, plan, clock, control)
            else:
                sent = _send_reacting(reacting_source, settings, plan, clock, control)
                log.info("reacted", transactions=dict(reacting_source.counts))
            if controls is not None and controls.failure is not None:
                raise SendError(f"controls cannot be followed any more: {controls.failure}")
        except SendError as error:
            log.error("ending, to go on in a new process", error=str(error))
            raise typer.Exit(1) from None
    log.info("produced", records=sent.records, late=sent.late, behind_s=sent.behind_s, complete=sent.complete)


def _controlled_world(live: LiveSource, stream: LiveStream, shards: int) -> World:
    if live.world is None or stream.script is not None or shards > 1:
        raise FraudsimError(
            f"{variable('controls')}: controls need the world, without a script and in one shard; "
            "unset it, or leave --replay, --script and --shards out"
        )
    return live.world


def _check_reacting(stream: LiveStream, null: bool, shards: int, reacting: bool) -> None:
    if not reacting:
        return
    if stream.history is None:
        raise FraudsimError("--reacting needs the world: a replayed file has no campaigns")
    if stream.labels:
        raise FraudsimError("--reacting needs --no-labels: run `fraudsim labels`, they follow from decisions")
    if null or shards > 1:
        raise FraudsimError(f"--reacting does not go with {'--null' if null else f'--shards {shards}'}")


def _send_reacting(
    source: ReactingSource,
    settings: Settings,
    plan: SendPlan,
    clock: DirectClockStarter,
    control: SendControl,
) -> SendReport:
    """Send a source whose people react to the decisions in the log."""
    partitions = existing_partitions(settings.kafka_bootstrap, [DECISIONS])[DECISIONS]
    with DecisionReader(settings, partitions, source, control.stop) as decisions:
        plan = replace(plan, react=source.react, retries=source.retries, track=source.track)
        report = send(source, settings, plan, clock, control)
    if decisions.failure is not None:
        raise SendError(f"decisions cannot be read any more: {decisions.failure}")
    return report


def _make_source(stream: LiveStream, settings: Settings, clock: Clock) -> Source:
    """Open the stream in a shard's process; the coordinator has logged already which rows are left out."""
    return live_source(stream, clock, settings).source
