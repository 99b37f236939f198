"""`fraudsim produce` and `fraudsim world`: making the traffic."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from producers import world_cli

if TYPE_CHECKING:
    from fraudsim.clock import Clock
    from producers.sender import SendReport
    from producers.source import Source
    from producers.world_source import WorldSource

app = typer.Typer()
app.add_typer(world_cli.app, name="world")


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
    null: bool = typer.Option(False, "--null", help="send to the topics of the null pipeline"),
    shards: int = typer.Option(
        1, min=1, max=64, help="processes that share the sending by card; the same at every start"
    ),
) -> None:
    """Send the live stream at its intended times; started again after a crash, go on where it stopped."""
    import signal
    import sys
    import threading
    from functools import partial

    from fraudsim.clock_log import open_clock
    from fraudsim.errors import FraudsimError
    from fraudsim.logs import set_up_logs
    from fraudsim.metrics import serve_metrics
    from fraudsim.settings import load_settings
    from fraudsim.topics import CLOCK, NULL
    from producers.outbox import SendError
    from producers.sender import SWITCH_S, send
    from producers.shards import Task, send_in_shards

    if (history is None) == (replay is None):
        raise FraudsimError("say either --history DIR or --replay FILE")
    settings = load_settings()
    log = set_up_logs(settings, "producer")
    sys.setswitchinterval(SWITCH_S)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    prefix = NULL if null else ""
    clock_log = open_clock(settings, topic=prefix + CLOCK)
    source, lasts = _source(history, replay, script, clock_log.clock, speed, log)
    log.info("producing", source=source.name, speed=speed, metrics_port=serve_metrics(settings))

    def keep(state: "SendReport") -> None:
        if report is not None:
            _write_report(report, state)

    seconds = lasts if seconds is None else seconds
    earlier = _read_report(report, source.name)
    try:
        if shards == 1:
            done = send(
                source,
                settings,
                speed=speed,
                seconds=seconds,
                clock_log=clock_log,
                stop=stop,
                on_progress=keep,
                earlier=earlier,
                prefix=prefix,
            )
        else:
            make_source = partial(_shard_source, history, replay, script, speed)
            task = Task(make_source, settings, shards, speed, seconds, prefix)
            done = send_in_shards(
                task, source, clock_log=clock_log, stop=stop, on_progress=keep, earlier=earlier
            )
    except SendError as error:
        log.error("ending, to go on in a new process", error=str(error))
        raise typer.Exit(1) from None
    log.info("produced", records=done.records, late=done.late, behind_s=done.behind_s, complete=done.complete)


def _shard_source(
    history: Path | None, replay: Path | None, script: Path | None, speed: float, clock: "Clock"
) -> "Source":
    """In a shard's process: the parent has said already what is left out."""
    return _source(history, replay, script, clock, speed, None)[0]


def _source(
    history: Path | None, replay: Path | None, script: Path | None, clock: "Clock", speed: float, log: Any
) -> "tuple[Source, float | None]":
    """The stream that follows the log's history, and the wall seconds of its transactions if it ends."""
    source: Source
    if replay is not None:
        source, lasts, world = *_file_source(replay, clock, speed, log), None
    else:
        assert history is not None
        source = _world_source(history, clock.first.event_epoch_ms)
        lasts, world = None, source.world
    if script is not None:
        from producers.script import read_script
        from producers.scripted import ScriptedSource

        source = ScriptedSource(source, read_script(script), speed, world)
    return source, lasts


def _file_source(replay: Path, clock: "Clock", speed: float, log: Any) -> "tuple[Source, float]":
    """A file from where the log's history ends, and the wall seconds that its transactions last."""
    from producers.datasets.known import replay_source

    source = replay_source(replay, clock.first.event_epoch_ms)
    for reason, rows in source.dropped.items() if log is not None else ():
        log.warning("rows left out, no event can carry them", reason=reason, rows=rows)
    return source, source.seconds(speed)  # its last labels come months after its last transaction


def _world_source(history: Path, split_ms: int) -> "WorldSource":
    from fraudsim.errors import FraudsimError
    from producers.history import read_history, world_of
    from producers.world_source import WorldSource

    opened = read_history(history)
    manifest = opened.manifest
    if manifest.source != "world":
        raise FraudsimError(f"history {history} is of a {manifest.source} file: name it with --replay FILE")
    if manifest.end_ms != split_ms:
        raise FraudsimError(
            f"history {history} ends at {manifest.end_ms}, the log starts at {split_ms}: not the same run"
        )
    return WorldSource(world_of(opened), manifest.days)


def _write_report(path: Path, report: "SendReport") -> None:
    """Replace the report, whole at every moment."""
    import msgspec

    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    temporary.rename(path)


def _read_report(path: Path | None, source: str) -> "SendReport | None":
    """The report of an earlier start of the same source; None if there is none that can be read."""
    import msgspec

    from producers.sender import SendReport

    try:
        report = msgspec.json.decode(path.read_bytes(), type=SendReport) if path else None
    except (OSError, msgspec.DecodeError):
        return None
    return report if report and report.source == source else None
