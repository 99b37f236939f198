"""The commands that make traffic: `fraudsim produce`, `fraudsim labels` and `fraudsim world`."""

from pathlib import Path

import typer

from producers import world_cli
from producers.label_feed import cli as labels_cli

app = typer.Typer()
app.add_typer(world_cli.app, name="world")
app.add_typer(labels_cli.app)


@app.command()
def produce(
    history: Path | None = typer.Option(None, help="folder of the history that the stream continues"),
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
        True, help="send the world's own labels too, whatever is decided; otherwise run `fraudsim labels`"
    ),
    reacting: bool = typer.Option(
        False,
        "--reacting",
        help="fraud campaigns and customers react to what stops their payments",
    ),
    null: bool = typer.Option(False, "--null", help="send to the topics of the null pipeline"),
    shards: int = typer.Option(
        1, min=1, max=64, help="processes that share the sending by card; the same at every start"
    ),
) -> None:
    """Send the live stream at its intended times; after a crash, a new start continues where it stopped."""
    from producers.traffic.live_source import LiveStream
    from producers.traffic.produce import run_producer

    stream = LiveStream(history=history, replay=replay, script=script, speed=speed, labels=labels)
    run_producer(stream, seconds=seconds, report=report, null=null, shards=shards, reacting=reacting)
