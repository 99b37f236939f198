"""The command `fraudsim labels`: the labels of a live stream, as they follow from its decisions."""

from pathlib import Path

import typer

app = typer.Typer()


@app.command()
def labels(
    history: Path | None = typer.Option(None, help="folder of the history that the stream continues"),
    replay: Path | None = typer.Option(None, help="file that is replayed from where the log's history ends"),
    speed: float = typer.Option(
        1.0, help="event seconds per wall second, the same as for `fraudsim produce`"
    ),
    seconds: float | None = typer.Option(
        None, min=0, help="wall seconds of live traffic  [default: with --replay to the last transaction]"
    ),
    script: Path | None = typer.Option(None, help="scenario file that is played on the stream"),
    report: Path | None = typer.Option(None, help="JSON file to keep a report in, rewritten every second"),
) -> None:
    """Send labels when they become known, as they follow from the decisions: replies, reviews, reports."""
    from producers.label_feed.process import run_feed
    from producers.traffic.live_source import LiveStream

    stream = LiveStream(history=history, replay=replay, script=script, speed=speed, honest=False)
    run_feed(stream, seconds=seconds, report=report)
